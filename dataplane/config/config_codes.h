/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_codes — the stable names of everything that can be wrong with a configuration.
 *
 * A number is never reused and never changes its meaning; titles and explanations are in
 * config_codes.c. PS10xx form, PS11xx values, PS12xx meaning, PS13xx what the host says
 * (files, keys, names), PS14xx warnings, PS15xx what a check of the environment adds; PS30xx is
 * what starting and reloading find out.
 */
#pragma once

#include <stdbool.h>

#define PS_FILE_UNREADABLE "PS1001"
#define PS_UNKNOWN_KEY "PS1002"
#define PS_NOT_TEXT "PS1003"
#define PS_SYNTAX "PS1004"
#define PS_TAB "PS1005"
#define PS_YAML_FEATURE "PS1006"
#define PS_TOO_LARGE "PS1007"
#define PS_DUPLICATE_KEY "PS1008"
#define PS_MISSING_KEY "PS1009"
#define PS_WRONG_KIND "PS1010"
#define PS_NO_VALUE "PS1011"
#define PS_EMPTY_LIST "PS1012"
#define PS_SECRET_IN_FILE "PS1013"
#define PS_TOO_MANY "PS1014"

#define PS_NAME "PS1101"
#define PS_NUMBER "PS1102"
#define PS_UNIT_MISSING "PS1103"
#define PS_UNIT "PS1104"
#define PS_RANGE "PS1105"
#define PS_CHOICE "PS1106"
#define PS_SWITCH "PS1107"
#define PS_ADDRESS "PS1108"
#define PS_URL "PS1109"
#define PS_PATH "PS1110"
#define PS_HOST "PS1111"
#define PS_CPUS "PS1112"
#define PS_FILE_NAME "PS1113"

#define PS_DUPLICATE_NAME "PS1201"
#define PS_DUPLICATE_ROUTE "PS1202"
#define PS_DUPLICATE_ADDRESS "PS1203"
#define PS_UNKNOWN_TARGET "PS1204"
#define PS_UNKNOWN_SCHEME "PS1205"
#define PS_DUPLICATE_ELEMENT "PS1206"
#define PS_CONTRADICTION "PS1207"
#define PS_NEEDS_OTHER_KEY "PS1208"

#define PS_SECRET_UNREADABLE "PS1301"
#define PS_SECRET_MODE "PS1302"
#define PS_SECRET_FORM "PS1303"
#define PS_ID_COLLISION "PS1304"
#define PS_CPU_MISSING "PS1305"

#define PS_PLAIN_LISTENER "PS1401"
#define PS_PLAIN_TARGET "PS1402"
#define PS_SHORT_RETENTION "PS1403"
#define PS_METRICS_EXPOSED "PS1404"
#define PS_UNUSED_TARGET "PS1405"
#define PS_UNRESOLVED "PS1406"
#define PS_SHORT_REPLAY_WINDOW "PS1407"
#define PS_NO_EFFECT "PS1408"
#define PS_FILE_WRITABLE "PS1409"

#define PS_TARGET_UNREACHABLE "PS1501"
#define PS_TARGET_HANDSHAKE "PS1502"
#define PS_CERTIFICATE_EXPIRED "PS1503"
#define PS_CERTIFICATE_EXPIRES "PS1504"
#define PS_SPIFFE_ID "PS1505"
#define PS_STORE_UNWRITABLE "PS1506"
#define PS_STORE_SPACE "PS1507"
#define PS_KERNEL "PS1508"
#define PS_SECRET_OWNER "PS1509"
#define PS_TARGETS_UNTRIED "PS1510"

#define PS_PEM_UNREADABLE "PS3001"
#define PS_LISTENER_TLS "PS3002"
#define PS_TARGET_TLS "PS3003"
#define PS_LISTEN "PS3004"
#define PS_STAYS_UNTIL_RESTART "PS3011"

/* Whether the code is in the table of config_codes.c. */
bool config_code_known(const char *code);
