/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "preflight/preflight.h"

#include <time.h>

#include "base/check.h"
#include "preflight/preflight_internal.h"

static const char *const level_names[] = {
#define X(name, text) [PREFLIGHT_##name] = text,
	PREFLIGHT_LEVEL_TABLE(X)
#undef X
};

const char preflight_level_names[] = "parse, schema, meaning, files or environment";

bool preflight_level_find(const char *name, enum preflight_level *ret)
{
	for (size_t i = 0; i < ARRAY_COUNT(level_names); i++) {
		if (strcmp(level_names[i], name) != 0) continue;
		*ret = (enum preflight_level)i;
		return true;
	}
	return false;
}

static uint64_t now_s(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return (uint64_t)now.tv_sec;
}

static void check_environment(const struct flow *flow, const struct contexts *contexts,
	struct config_report *report)
{
	config_report_borrow(report, flow->config);
	preflight_host(flow->config, report);
	preflight_certificates(flow->config, now_s(), report);
	preflight_targets(flow, contexts, report);
	config_report_borrow(report, NULL);
}

/* Takes the config over. */
static enum result check_files(struct config *config, bool environment,
	struct config_report *report)
{
	struct flow *flow = NULL;
	struct contexts *contexts = NULL;

	enum result result = flow_compile(config, 1, &flow, report);
	if (result != RESULT_OK) {
		config_free(config);
		return result;
	}
	result = contexts_build(flow, report, &contexts);
	if (result == RESULT_OK && environment) {
		check_environment(flow, contexts, report);
		if (report->error_count > 0) result = RESULT_CONFIG;
	}
	if (contexts != NULL) contexts_free(contexts);
	flow_release(flow);
	return result;
}

enum result preflight_run(const char *path, enum preflight_level level,
	struct config_report *report, struct preflight_summary *ret)
{
	struct config *config = NULL;

	*ret = (struct preflight_summary){ 0 };
	switch (level) {
	case PREFLIGHT_PARSE: return config_load_level(path, CONFIG_LEVEL_PARSE, report);
	case PREFLIGHT_SCHEMA: return config_load_level(path, CONFIG_LEVEL_SCHEMA, report);
	case PREFLIGHT_MEANING:
	case PREFLIGHT_FILES:
	case PREFLIGHT_ENVIRONMENT: break;
	case PREFLIGHT_LEVEL_COUNT: UNREACHABLE();
	}
	TRY(config_load(path, &config, report));
	ret->endpoint_count = config->endpoint_count;
	ret->target_count = config->target_count;
	if (level == PREFLIGHT_MEANING) {
		config_free(config);
		return RESULT_OK;
	}
	return check_files(config, level == PREFLIGHT_ENVIRONMENT, report);
}
