# SPDX-License-Identifier: GPL-2.0-or-later
# The sources of the daemon, listed by hand: one file per line, sorted, grouped by folder. No wildcards:
# a file that is not listed here is not built, and tools/check_tidy reports it. Form:
#   BASE_SRC := \
#   	dataplane/base/bytes.c \
#   	dataplane/base/log.c
# dataplane/main.c is not listed: the Makefile links it into penstockd alone.

# dataplane/base
BASE_SRC := \
	dataplane/base/aes_gcm.c \
	dataplane/base/alloc.c \
	dataplane/base/bars.c \
	dataplane/base/bytes.c \
	dataplane/base/check.c \
	dataplane/base/cursor.c \
	dataplane/base/encoding.c \
	dataplane/base/hash.c \
	dataplane/base/hash_avx2.c \
	dataplane/base/json_string.c \
	dataplane/base/log.c \
	dataplane/base/log_form.c \
	dataplane/base/mailbox.c \
	dataplane/base/pool.c \
	dataplane/base/result.c \
	dataplane/base/sha256_blocks.c \
	dataplane/base/sha256_lanes.c \
	dataplane/base/tap.c \
	dataplane/base/version.c

# dataplane/program
PROGRAM_SRC := \
	dataplane/program/program.c \
	dataplane/program/program_completion.c \
	dataplane/program/program_man.c

# dataplane/metrics
METRICS_SRC := \
	dataplane/metrics/metrics.c \
	dataplane/metrics/metrics_expose.c \
	dataplane/metrics/metrics_format.c

# dataplane/engine
ENGINE_SRC := \
	dataplane/engine/address.c \
	dataplane/engine/io_uring.c \
	dataplane/engine/io_uring_buffer.c \
	dataplane/engine/io_uring_complete.c \
	dataplane/engine/io_uring_open.c \
	dataplane/engine/io_uring_socket.c \
	dataplane/engine/io_uring_submit.c \
	dataplane/engine/io_uring_table.c \
	dataplane/engine/listener.c \
	dataplane/engine/loop.c \
	dataplane/engine/timers.c

# dataplane/tls
TLS_SRC := \
	dataplane/tls/stream.c \
	dataplane/tls/stream_buffers.c \
	dataplane/tls/tls_conn.c \
	dataplane/tls/tls_context.c \
	dataplane/tls/tls_error.c \
	dataplane/tls/tls_gcm.c \
	dataplane/tls/tls_library.c \
	dataplane/tls/tls_memory.c \
	dataplane/tls/tls_ticket.c \
	dataplane/tls/tls_verify.c

# dataplane/http
HTTP_SRC := \
	dataplane/http/http.c \
	dataplane/http/http_chars.c \
	dataplane/http/http_chunked.c \
	dataplane/http/http_date.c \
	dataplane/http/http_fields.c \
	dataplane/http/http_reason.c \
	dataplane/http/http_request.c \
	dataplane/http/http_response.c \
	dataplane/http/http_target.c \
	dataplane/http/http_write.c

# dataplane/secrets
SECRETS_SRC := \
	dataplane/secrets/mac.c \
	dataplane/secrets/secret.c \
	dataplane/secrets/secret_memory.c

# dataplane/store
STORE_SRC := \
	dataplane/store/store.c \
	dataplane/store/store_backup.c \
	dataplane/store/store_check.c \
	dataplane/store/store_compact.c \
	dataplane/store/store_cursor.c \
	dataplane/store/store_folder.c \
	dataplane/store/store_journal.c \
	dataplane/store/store_journal_redo.c \
	dataplane/store/store_journal_segment.c \
	dataplane/store/store_journal_spare.c \
	dataplane/store/store_migrate.c \
	dataplane/store/store_pending.c \
	dataplane/store/store_recent.c \
	dataplane/store/store_space.c \
	dataplane/store/store_txn.c \
	dataplane/store/store_writer.c

# dataplane/verify
VERIFY_SRC := \
	dataplane/verify/json_id.c \
	dataplane/verify/message.c \
	dataplane/verify/presented.c \
	dataplane/verify/replay.c \
	dataplane/verify/scheme.c \
	dataplane/verify/scheme_table.c \
	dataplane/verify/sign.c \
	dataplane/verify/timestamp.c \
	dataplane/verify/verify.c

# dataplane/queue
QUEUE_SRC := \
	dataplane/queue/accounts.c \
	dataplane/queue/attempt.c \
	dataplane/queue/event.c \
	dataplane/queue/event_id.c \
	dataplane/queue/queue.c \
	dataplane/queue/queue_defer.c \
	dataplane/queue/queue_delivery.c \
	dataplane/queue/queue_look.c \
	dataplane/queue/queue_schedule.c \
	dataplane/queue/queue_settle.c \
	dataplane/queue/queue_target.c \
	dataplane/queue/queue_window.c \
	dataplane/queue/row.c \
	dataplane/queue/shard.c \
	dataplane/queue/shard_action.c \
	dataplane/queue/shard_append.c \
	dataplane/queue/shard_audit.c \
	dataplane/queue/shard_ledger.c \
	dataplane/queue/shard_left.c \
	dataplane/queue/shard_read.c \
	dataplane/queue/shard_replay.c \
	dataplane/queue/shard_retention.c

# dataplane/audit
AUDIT_SRC := \
	dataplane/audit/audit_append.c \
	dataplane/audit/audit_verify.c \
	dataplane/audit/leaf.c \
	dataplane/audit/tree.c

# dataplane/flow
FLOW_SRC := \
	dataplane/flow/flow_compile.c \
	dataplane/flow/flow_find.c \
	dataplane/flow/flow_resolve.c

# dataplane/config
CONFIG_SRC := \
	dataplane/config/config_arena.c \
	dataplane/config/config_changes.c \
	dataplane/config/config_check.c \
	dataplane/config/config_check_routes.c \
	dataplane/config/config_codes.c \
	dataplane/config/config_comments.c \
	dataplane/config/config_diff.c \
	dataplane/config/config_examples.c \
	dataplane/config/config_excerpt.c \
	dataplane/config/config_fixed.c \
	dataplane/config/config_format.c \
	dataplane/config/config_keys.c \
	dataplane/config/config_load.c \
	dataplane/config/config_nearest.c \
	dataplane/config/config_read.c \
	dataplane/config/config_read_value.c \
	dataplane/config/config_reference.c \
	dataplane/config/config_report.c \
	dataplane/config/config_report_json.c \
	dataplane/config/config_schema.c \
	dataplane/config/config_show.c \
	dataplane/config/config_text.c \
	dataplane/config/config_url.c \
	dataplane/config/config_values.c \
	dataplane/config/config_walk.c \
	dataplane/config/config_yaml.c \
	dataplane/config/config_yaml_fault.c

# dataplane/telemetry
TELEMETRY_SRC := \
	dataplane/telemetry/otlp.c \
	dataplane/telemetry/post.c \
	dataplane/telemetry/spans.c \
	dataplane/telemetry/telemetry.c \
	dataplane/telemetry/trace.c

# dataplane/receive
RECEIVE_SRC := \
	dataplane/receive/receive.c \
	dataplane/receive/receive_admission.c \
	dataplane/receive/receive_answer.c \
	dataplane/receive/receive_connection.c \
	dataplane/receive/receive_event.c \
	dataplane/receive/receive_gather.c \
	dataplane/receive/receive_listener.c \
	dataplane/receive/receive_request.c \
	dataplane/receive/receive_tap.c \
	dataplane/receive/receive_trace.c

# dataplane/deliver
DELIVER_SRC := \
	dataplane/deliver/backoff.c \
	dataplane/deliver/deliver.c \
	dataplane/deliver/deliver_answer.c \
	dataplane/deliver/deliver_attempt.c \
	dataplane/deliver/deliver_channel.c \
	dataplane/deliver/deliver_tap.c \
	dataplane/deliver/deliver_trace.c \
	dataplane/deliver/outcome.c

# dataplane/control
CONTROL_SRC := \
	dataplane/control/control.c \
	dataplane/control/control_access.c \
	dataplane/control/control_acl.c \
	dataplane/control/control_action.c \
	dataplane/control/control_audit.c \
	dataplane/control/control_backup.c \
	dataplane/control/control_call.c \
	dataplane/control/control_client.c \
	dataplane/control/control_config.c \
	dataplane/control/control_daemon.c \
	dataplane/control/control_dead.c \
	dataplane/control/control_drain.c \
	dataplane/control/control_events.c \
	dataplane/control/control_flow.c \
	dataplane/control/control_generations.c \
	dataplane/control/control_json.c \
	dataplane/control/control_ledger.c \
	dataplane/control/control_metrics.c \
	dataplane/control/control_query.c \
	dataplane/control/control_record.c \
	dataplane/control/control_routes.c \
	dataplane/control/control_socket.c \
	dataplane/control/control_status.c \
	dataplane/control/control_tail.c \
	dataplane/control/control_task.c \
	dataplane/control/control_upgrade.c

# dataplane/worker
WORKER_SRC := \
	dataplane/worker/claim.c \
	dataplane/worker/contexts.c \
	dataplane/worker/handed.c \
	dataplane/worker/listening.c \
	dataplane/worker/wiring.c \
	dataplane/worker/worker.c

PREFLIGHT_SRC := \
	dataplane/preflight/preflight.c \
	dataplane/preflight/preflight_certificates.c \
	dataplane/preflight/preflight_host.c \
	dataplane/preflight/preflight_targets.c \
	dataplane/preflight/spiffe.c

# dataplane: the wiring
DAEMON_SRC := \
	dataplane/daemon.c \
	dataplane/daemon_change.c \
	dataplane/daemon_generations.c \
	dataplane/daemon_limit.c \
	dataplane/daemon_listeners.c \
	dataplane/daemon_reload.c \
	dataplane/daemon_upgrade.c \
	dataplane/daemon_watchdog.c \
	dataplane/notify.c \
	dataplane/options.c

DATAPLANE_SRC := \
	$(BASE_SRC) \
	$(PROGRAM_SRC) \
	$(METRICS_SRC) \
	$(ENGINE_SRC) \
	$(TLS_SRC) \
	$(HTTP_SRC) \
	$(SECRETS_SRC) \
	$(STORE_SRC) \
	$(VERIFY_SRC) \
	$(QUEUE_SRC) \
	$(AUDIT_SRC) \
	$(FLOW_SRC) \
	$(CONFIG_SRC) \
	$(TELEMETRY_SRC) \
	$(RECEIVE_SRC) \
	$(DELIVER_SRC) \
	$(CONTROL_SRC) \
	$(WORKER_SRC) \
	$(PREFLIGHT_SRC) \
	$(DAEMON_SRC)
