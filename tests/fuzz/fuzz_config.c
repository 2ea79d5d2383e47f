/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a configuration file: taken or refused with a report, never worse. What is taken
 * obeys the bounds; every diagnostic lies in the text and can be printed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/config.h"
#include "config/config_codes.h"
#include "config/config_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config_report report;

static uint32_t line_count(struct bytes text)
{
	uint32_t lines = 1;
	for (size_t i = 0; i < text.size; i++) lines += text.data[i] == '\n' ? 1 : 0;
	return lines;
}

static void check_report(struct bytes text)
{
	CHECK(report.count <= CONFIG_DIAGNOSTICS_MAX);
	CHECK(report.error_count <= report.count + report.dropped_count);
	for (uint32_t i = 0; i < report.count; i++) {
		const struct config_diagnostic *diagnostic = &report.diagnostics[i];

		CHECK(config_code_known(diagnostic->code));
		CHECK(diagnostic->sentence[0] != '\0');
		CHECK((diagnostic->position.line == 0) == (diagnostic->position.column == 0));
		/* libyaml reports what is missing at the end in the line after the last. */
		CHECK(diagnostic->position.line <= line_count(text) + 1);
		CHECK(diagnostic->excerpt_caret < CONFIG_EXCERPT_SIZE);
		for (const char *at = diagnostic->excerpt; *at != '\0'; at++) {
			CHECK((uint8_t)*at >= ' ' && *at != 0x7F);
		}
	}
}

static void check_endpoint(const struct config_endpoint *endpoint)
{
	CHECK(strlen(endpoint->name) >= 1 && strlen(endpoint->name) <= NAME_SIZE_MAX);
	CHECK(endpoint->path[0] == '/' && strlen(endpoint->path) <= ENDPOINT_PATH_SIZE_MAX);
	CHECK(strpbrk(endpoint->path, "?# ") == NULL);
	CHECK(endpoint->host == NULL || strlen(endpoint->host) <= HOST_SIZE_MAX);
	CHECK(endpoint->secret_file != NULL && endpoint->scheme != NULL);
	CHECK(endpoint->target_count >= 1 && endpoint->target_count <= TARGETS_PER_ENDPOINT_MAX);
	CHECK(endpoint->body_size_max <= RECEIVE_BODY_SIZE_LIMIT);
	CHECK(endpoint->replay_window_s >= 1 && endpoint->tolerance_s <= VERIFY_TOLERANCE_S_LIMIT);
}

static void check_target(const struct config_target *target)
{
	CHECK(strlen(target->name) >= 1 && strlen(target->name) <= NAME_SIZE_MAX);
	CHECK(target->host[0] != '\0' && strlen(target->host) <= HOST_SIZE_MAX);
	CHECK(target->port > 0 && target->path[0] == '/');
	CHECK(strpbrk(target->path, "# \r\n") == NULL);
	CHECK(target->timeout_ms > 0 && target->connections_max > 0);
	CHECK(target->retry.attempts_max > 0);
	CHECK(target->retry.backoff_base_ms <= target->retry.backoff_max_ms);
}

static void check_config(const struct config *config)
{
	CHECK(config->listener_count >= 1 && config->listener_count <= LISTENERS_MAX);
	CHECK(config->endpoint_count >= 1 && config->target_count >= 1);
	CHECK(config->cpu_count >= 1 && config->cpu_count <= WORKERS_MAX);
	CHECK(config->store.path != NULL && config->control_socket != NULL);
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		CHECK(listener->address.port > 0 && listener->name != NULL);
		CHECK(listener->tls == (listener->certificate_count > 0));
		for (uint32_t j = 0; j < listener->certificate_count; j++) {
			CHECK(listener->certificates[j].certificate_file != NULL);
			CHECK(listener->certificates[j].key_file != NULL);
		}
	}
	for (uint32_t i = 0; i < config->endpoint_count; i++) check_endpoint(&config->endpoints[i]);
	for (uint32_t i = 0; i < config->target_count; i++) check_target(&config->targets[i]);
}

static void print_everywhere(void)
{
	static FILE *nowhere;

	if (nowhere == NULL) nowhere = fopen("/dev/null", "w");
	CHECK(nowhere != NULL);
	config_report_print(&report, nowhere, true);
	config_report_print_json(&report, nowhere);
}

/* Formatted text, or NULL; free(). */
static char *format(struct bytes text, size_t *ret_size, enum result *ret)
{
	char *formatted = NULL;
	FILE *file = open_memstream(&formatted, ret_size);

	CHECK(file != NULL);
	*ret = config_format("fuzz.yaml", text, file, &report);
	CHECK(fclose(file) == 0);
	return formatted;
}

/* What was formatted stays as it is when it is formatted again. */
static void check_format(struct bytes text)
{
	enum result result;
	size_t size = 0;
	size_t size_again = 0;
	char *once = format(text, &size, &result);

	CHECK((result == RESULT_CONFIG) == (report.error_count > 0));
	CHECK(result == RESULT_OK || size == 0);
	if (result == RESULT_OK) {
		char *again = format(bytes_of(once, size), &size_again, &result);
		CHECK(result == RESULT_OK);
		CHECK(bytes_equal(bytes_of(once, size), bytes_of(again, size_again)));
		free(again);
	}
	free(once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = bytes_of(data, size);
	struct config *config = NULL;
	enum result result = config_parse("fuzz.yaml", text, &config, &report);

	CHECK(result == RESULT_OK || result == RESULT_CONFIG);
	CHECK((result == RESULT_OK) == (report.error_count == 0));
	CHECK((result == RESULT_OK) == (config != NULL));
	check_report(text);
	print_everywhere();
	if (config != NULL) check_config(config);
	config_free(config);
	check_format(text);
	return 0;
}
