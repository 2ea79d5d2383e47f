/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_reference — the documents that are made from the tables that files are read by, so that
 * they cannot disagree: JSON Schema, docs/configuration.md, penstock.yaml(5), penstock-codes(7).
 *
 * Each is written to a FILE. `make reference` and `make man` put them where they belong.
 */
#pragma once

/* JSON Schema, draft 2020-12. What a table can say: a file that it takes may still be refused
 * for its meaning, but not the other way round. */
void config_schema_print(void *file);
void config_reference_print_markdown(void *file);
void config_reference_print_man(void *file);
void config_codes_print_man(void *file);
