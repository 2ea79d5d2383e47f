/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_values — single values of the configuration: quantities with units, names, addresses,
 * URLs, CPU lists. Each either yields a value or says what is wrong with the text.
 *
 * Pure, except for config_value_cpus_auto(), which asks the kernel.
 */
#pragma once

#include "config/config.h"

/* What is wrong: the sentence goes on after "key of section: ". */
struct config_fault {
	const char *code;
	char sentence[192];
	char hint[192];
};

/* All return false with *fault set. Texts are one line of printable UTF-8. */

/* [a-z0-9][a-z0-9._-]{0,63} */
bool config_value_name(const char *text, struct config_fault *fault);
/* Names of users, groups and schemes: letters, digits, '.', '_', '-'. */
bool config_value_word(const char *text, struct config_fault *fault);
bool config_value_file(const char *text, struct config_fault *fault);
/* An endpoint's path. */
bool config_value_path(const char *text, struct config_fault *fault);
/* A name or IP address without brackets and port; `wildcard` also allows "*.example". */
bool config_value_host(const char *text, bool wildcard, struct config_fault *fault);
bool config_value_address(const char *text, struct io_address *ret, struct config_fault *fault);

bool config_value_count(const char *text, uint64_t *ret, struct config_fault *fault);
/* "0.01" in millionths: digits, at most six behind the point. */
bool config_value_ratio(const char *text, uint64_t *ret, struct config_fault *fault);
bool config_value_size(const char *text, uint64_t *ret, struct config_fault *fault);
bool config_value_duration_ms(const char *text, uint64_t *ret, struct config_fault *fault);
bool config_value_switch(const char *text, bool *ret, struct config_fault *fault);

struct config_url {
	bool tls;
	bool has_port;
	uint16_t port;                /* the scheme's own when none is written */
	char host[HOST_SIZE_MAX + 1]; /* lower case, IPv6 without brackets */
	const char *path;             /* into the text: path and query; "" when there is none */
};
bool config_value_url(const char *text, struct config_url *ret, struct config_fault *fault);

struct config_cpus {
	uint64_t bits[CPU_INDEX_LIMIT / 64];
};
/* Adds "3", "4-7" or "0,2,4-7" to *cpus. A CPU that is there already is a fault. */
bool config_value_cpus(const char *text, struct config_cpus *cpus, struct config_fault *fault);
/* Those this process may run on. False when the kernel does not say. */
bool config_value_cpus_auto(struct config_cpus *ret);
bool config_cpus_has(const struct config_cpus *cpus, uint32_t cpu);
uint32_t config_cpus_count(const struct config_cpus *cpus);

/* The shortest exact form: "1MiB", "90s", "7d". */
enum { CONFIG_QUANTITY_SIZE = 32 };
/* Of millionths: "0.01", with as many digits as it takes. */
void config_format_ratio(uint64_t millionths, char to[static CONFIG_QUANTITY_SIZE]);
void config_format_size(uint64_t size, char to[static CONFIG_QUANTITY_SIZE]);
void config_format_duration_ms(uint64_t duration_ms, char to[static CONFIG_QUANTITY_SIZE]);

/* For the files that implement the above: fills *fault and returns false. */
bool config_fault_set(struct config_fault *fault, const char *code, const char *hint,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
