/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config — penstock.yaml as plain data: what was written, checked for form, nothing opened.
 *
 * config_load() parses YAML (libyaml) and checks every key, type, range, unit, duplicate and
 * reference (an endpoint's target must exist, names and paths are unique …). It opens no other
 * file: secrets, certificates and addresses are the business of flow_compile() and the worker.
 * Every value remembers its line and column, so that later checks can point at it too.
 * Cold threads only.
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "bounds.h"
#include "engine/address.h"

struct config_position {
	uint32_t line;   /* from 1; 0: not written, a default */
	uint32_t column; /* from 1 */
};

enum config_client_certificate {
	CONFIG_CLIENT_CERTIFICATE_NONE,
	CONFIG_CLIENT_CERTIFICATE_OPTIONAL,
	CONFIG_CLIENT_CERTIFICATE_REQUIRED,
};

/* Paths are as written, relative ones resolved against the configuration file's folder. */
struct config_certificate {
	const char *certificate_file;
	const char *key_file;
	const char *const *names; /* for SNI */
	uint32_t name_count;
	struct config_position position;
};

struct config_listener {
	const char *name; /* default: the address */
	struct io_address address;
	bool tls; /* false only when "tls: off" was written: plaintext must be asked for */
	struct config_certificate *certificates;
	uint32_t certificate_count;
	enum config_client_certificate client_certificate;
	const char *client_ca_file;
	struct config_position position;
	struct config_certificate
		only; /* private: as written directly under tls:, certificates[0] */
};

struct config_retry {
	uint32_t attempts_max;
	uint32_t backoff_base_ms;
	uint32_t backoff_max_ms;
};

struct config_target {
	const char *name;
	const char *url;  /* as written */
	bool tls;         /* https */
	const char *host; /* for Host and SNI, without port and without [] */
	uint16_t port;
	const char *path;        /* with query, starts with '/' */
	const char *secret_file; /* Standard Webhooks signing secret; NULL: not signed */
	const char *previous_secret_file;
	const char *ca_file;                 /* NULL: the system's */
	const char *client_certificate_file; /* mTLS towards the target */
	const char *client_key_file;
	uint32_t timeout_ms;         /* one attempt, from its start to the end of the answer */
	uint32_t connect_timeout_ms; /* TCP and TLS handshake */
	uint32_t connections_max;    /* per worker */
	struct config_retry retry;
	struct config_position position;
};

struct config_endpoint {
	const char *name;
	const char *host; /* NULL: any */
	const char *path; /* exact match, starts with '/' */
	const char *scheme;
	const char *secret_file;
	const char *previous_secret_file;
	const char *public_url; /* scheme://host[:port] as the provider sees it, or NULL */
	uint32_t tolerance_s;   /* 0: the scheme's own */
	uint32_t replay_window_s;
	uint32_t body_size_max;
	const char *const *targets;
	uint32_t target_count;
	struct config_position position;
	struct config_position scheme_position;
	struct config_position secret_position;
};

struct config_store {
	const char *path;
	uint64_t
		quota_size; /* bytes over all shards; 0: what the file system has, less a reserve */
	uint64_t retention_s; /* of settled events */
	uint32_t replay_entries_max;
	struct config_position position;
};

enum config_log_level {
	CONFIG_LOG_ERROR,
	CONFIG_LOG_WARNING,
	CONFIG_LOG_NOTICE,
	CONFIG_LOG_INFO,
	CONFIG_LOG_DEBUG,
};

enum config_log_format {
	CONFIG_LOG_AUTO,
	CONFIG_LOG_TEXT,
	CONFIG_LOG_JSON,
	CONFIG_LOG_JOURNAL,
};

struct config {
	const char *path; /* of the file */
	struct config_listener *listeners;
	uint32_t listener_count;
	struct config_endpoint *endpoints;
	uint32_t endpoint_count;
	struct config_target *targets;
	uint32_t target_count;
	struct config_store store;
	uint16_t *cpus; /* from "workers: {cpus: auto | [0, 2, 4-7]}" */
	uint32_t cpu_count;
	bool cpus_auto; /* all that the process may run on */
	uint32_t workers_per_cpu;
	uint32_t connections_max; /* per worker */
	uint32_t requests_max;    /* per worker, between first byte and answer */
	const char *control_socket;
	const char *control_group; /* group whose members may read (and open the socket) */
	const char *const
		*control_admins; /* user names with the admin role, besides root and self */
	uint32_t control_admin_count;
	const char *const *control_operators; /* user names with the role operate */
	uint32_t control_operator_count;
	struct io_address metrics_address; /* /metrics, /healthz, /readyz; port 0: off */
	const char *otlp_endpoint; /* "http://host[:port]" of a collector; NULL: no traces */
	uint32_t otlp_sample_ppm;  /* of traces that begin here */
	enum config_log_level log_level;
	enum config_log_format log_format;
	uint32_t drain_timeout_s;
	void *arena;      /* private: all strings and arrays above */
	const char *text; /* private: the file, for excerpts in diagnostics */
	size_t text_size;
};

/* Diagnostics: `file:line:col: error[CODE]: sentence`, the line, a caret and a hint. */
enum config_severity { CONFIG_ERROR, CONFIG_WARNING };

enum { CONFIG_DIAGNOSTICS_MAX = 64, CONFIG_EXCERPT_SIZE = 512 };

struct config_diagnostic {
	enum config_severity severity;
	const char *code; /* "PS1001": stable; see config_codes.c */
	struct config_position position;
	char sentence[256];
	char hint[256]; /* what would fix it */
	/* The line it is about, or a window of a long one, with anything that looks like a secret
	 * masked; empty when there is none. A copy: a report outlives the text it is about. */
	char excerpt[CONFIG_EXCERPT_SIZE];
	uint32_t excerpt_caret; /* characters before the caret */
};

struct config_report {
	const char *path; /* borrowed from the caller of config_load() */
	const char *text; /* borrowed while adding: for excerpts; NULL otherwise */
	size_t text_size;
	uint32_t count;
	uint32_t error_count;
	uint32_t dropped_count; /* beyond CONFIG_DIAGNOSTICS_MAX */
	struct config_diagnostic diagnostics[CONFIG_DIAGNOSTICS_MAX];
};

/* Empty, for diagnostics of `path`, which is borrowed. config_load() does it itself. */
void config_report_init(struct config_report *report, const char *path);
/* Until called again with NULL, diagnostics get excerpts of the config's text, which must live.
 * config_load() and flow_compile() leave a report without. */
void config_report_borrow(struct config_report *report, const struct config *config);
/* Adds one, in the order of positions; for flow_compile() and the worker too. `code` is one of
 * config_codes.h; without a hint, NULL or empty, it gets the code's own fix. When the report is
 * full an error takes the place of a warning; the counts stay right. */
void config_report_add(struct config_report *report, enum config_severity severity,
	const char *code, struct config_position position, const char *hint, const char *format,
	...) __attribute__((format(printf, 6, 7)));
/* Human form, to a FILE (stderr of -t) in full; colour only when asked for. */
void config_report_print(const struct config_report *report, void *file, bool colour);
/* {"schema":"penstock.diagnostics/v1","diagnostics":[…]} */
void config_report_print_json(const struct config_report *report, void *file);
/* SARIF 2.1.0, for code hosts and editors. */
void config_report_print_sarif(const struct config_report *report, void *file);
uint32_t config_report_warnings(const struct config_report *report);

enum config_report_format {
	CONFIG_REPORT_HUMAN,
	CONFIG_REPORT_JSON,
	CONFIG_REPORT_SARIF,
};
/* "human", "json" or "sarif"; false for anything else. */
bool config_report_format_find(const char *name, enum config_report_format *ret);

/* RESULT_CONFIG with the report filled when anything is wrong; the report may hold warnings
 * on RESULT_OK. On RESULT_OK *ret is the caller's. The report is set anew and stays valid
 * whatever becomes of the config; it borrows `path`. */
MUST_USE enum result config_load(const char *path, struct config **ret,
	struct config_report *report);
/* Looks no further than the level, and keeps nothing. */
enum config_level {
	CONFIG_LEVEL_PARSE,   /* it is YAML that is accepted here */
	CONFIG_LEVEL_SCHEMA,  /* every key, kind, unit and range is right */
	CONFIG_LEVEL_MEANING, /* references, duplicates: as config_load() */
};
MUST_USE enum result config_load_level(const char *path, enum config_level level,
	struct config_report *report);
/* The same as if the file stood at `as`: relative names of files start from that one's folder.
 * Diagnostics say `path`. */
MUST_USE enum result config_load_as(const char *path, const char *as, struct config **ret,
	struct config_report *report);
/* The same over text in memory; `path` is what diagnostics say and relative files start from.
 * The text is copied. */
MUST_USE enum result config_parse(const char *path, struct bytes text, struct config **ret,
	struct config_report *report);
void config_free(struct config *config);

/* Where the value of a field was written: config_position_of(config, &endpoint->path,
 * endpoint->position). Elements of lists have positions too: &endpoint->targets[2]. `otherwise`
 * when it was not written (a default). */
struct config_position config_position_of(const struct config *config, const void *field,
	struct config_position otherwise);

/* Every code with its explanation, for `penstockctl explain` and the documents. */
struct config_code {
	const char *code;
	const char *title;
	const char *explanation;
};
const struct config_code *config_codes(size_t *ret_count);

/* What draws a code and the same put right: a piece of a configuration, or, when it begins with
 * "$ ", what is seen on the host. */
struct config_example {
	const char *code;
	const char *wrong;
	const char *right;
	const char *fix; /* how to get from one to the other */
};
/* NULL for a code that does not exist. */
const struct config_example *config_example_find(const char *code);
