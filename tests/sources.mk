# SPDX-License-Identifier: GPL-2.0-or-later
# Tests, listed by hand: one file per line, sorted.

# Each file is a cmocka program of its own, linked against libpenstock.a (everything but main.c).
UNIT_TESTS := \
	tests/bench/bench_event.c \
	tests/bench/bench_io_echo.c \
	tests/bench/bench_store.c \
	tests/bench/bench_tls.c \
	tests/unit/audit/test_audit.c \
	tests/unit/audit/test_tree.c \
	tests/unit/base/test_aes_gcm.c \
	tests/unit/base/test_alloc.c \
	tests/unit/base/test_bars.c \
	tests/unit/base/test_bytes.c \
	tests/unit/base/test_cursor.c \
	tests/unit/base/test_encoding.c \
	tests/unit/base/test_hash.c \
	tests/unit/base/test_list.c \
	tests/unit/base/test_log.c \
	tests/unit/base/test_log_form.c \
	tests/unit/base/test_mailbox.c \
	tests/unit/base/test_pool.c \
	tests/unit/base/test_sha256_blocks.c \
	tests/unit/base/test_sha256_lanes.c \
	tests/unit/base/test_tap.c \
	tests/unit/bench/test_disk_load.c \
	tests/unit/bench/test_flush_file.c \
	tests/unit/bench/test_hdr.c \
	tests/unit/bench/test_histogram.c \
	tests/unit/bench/test_live.c \
	tests/unit/bench/test_options.c \
	tests/unit/bench/test_page.c \
	tests/unit/bench/test_process.c \
	tests/unit/bench/test_search.c \
	tests/unit/bench/test_watch.c \
	tests/unit/config/test_changes.c \
	tests/unit/config/test_codes.c \
	tests/unit/config/test_config.c \
	tests/unit/config/test_config_good.c \
	tests/unit/config/test_fixed.c \
	tests/unit/config/test_format.c \
	tests/unit/config/test_reference.c \
	tests/unit/config/test_report.c \
	tests/unit/config/test_show.c \
	tests/unit/config/test_values.c \
	tests/unit/control/test_control.c \
	tests/unit/control/test_control_parts.c \
	tests/unit/control/test_control_socket.c \
	tests/unit/control/test_metrics_reference.c \
	tests/unit/ctl/test_anonymizer.c \
	tests/unit/ctl/test_arguments.c \
	tests/unit/ctl/test_certificate_chain.c \
	tests/unit/ctl/test_table.c \
	tests/unit/ctl/test_top.c \
	tests/unit/daemon/test_generations.c \
	tests/unit/daemon/test_listeners.c \
	tests/unit/deliver/test_backoff.c \
	tests/unit/deliver/test_outcome.c \
	tests/unit/engine/test_address.c \
	tests/unit/engine/test_io.c \
	tests/unit/engine/test_io_chaos.c \
	tests/unit/engine/test_io_close.c \
	tests/unit/engine/test_io_descriptors.c \
	tests/unit/engine/test_io_limits.c \
	tests/unit/engine/test_io_open.c \
	tests/unit/engine/test_io_table.c \
	tests/unit/engine/test_loop.c \
	tests/unit/engine/test_timers.c \
	tests/unit/flow/test_flow.c \
	tests/unit/http/test_http.c \
	tests/unit/http/test_http_chunked.c \
	tests/unit/http/test_http_fields.c \
	tests/unit/http/test_http_request.c \
	tests/unit/http/test_http_response.c \
	tests/unit/http/test_http_target.c \
	tests/unit/http/test_http_write.c \
	tests/unit/metrics/test_metrics.c \
	tests/unit/preflight/test_spiffe.c \
	tests/unit/queue/test_accounts.c \
	tests/unit/queue/test_event.c \
	tests/unit/queue/test_queue.c \
	tests/unit/queue/test_queue_defer.c \
	tests/unit/queue/test_queue_model.c \
	tests/unit/queue/test_queue_schedule.c \
	tests/unit/queue/test_queue_stragglers.c \
	tests/unit/queue/test_queue_threads.c \
	tests/unit/queue/test_shard.c \
	tests/unit/queue/test_shard_crash.c \
	tests/unit/queue/test_shard_faults.c \
	tests/unit/queue/test_shard_full.c \
	tests/unit/queue/test_shard_ledger.c \
	tests/unit/queue/test_shard_retention.c \
	tests/unit/receive/test_listener.c \
	tests/unit/secrets/test_mac.c \
	tests/unit/secrets/test_secret.c \
	tests/unit/store/test_store.c \
	tests/unit/store/test_store_compact.c \
	tests/unit/store/test_store_cursor.c \
	tests/unit/store/test_store_gather.c \
	tests/unit/store/test_store_journal.c \
	tests/unit/store/test_store_journal_direct.c \
	tests/unit/store/test_store_journal_faults.c \
	tests/unit/store/test_store_journal_model.c \
	tests/unit/store/test_store_journal_spare.c \
	tests/unit/store/test_store_journal_start.c \
	tests/unit/store/test_store_journal_threads.c \
	tests/unit/store/test_store_writer.c \
	tests/unit/telemetry/test_spans.c \
	tests/unit/telemetry/test_trace.c \
	tests/unit/tls/test_stream.c \
	tests/unit/tls/test_stream_input.c \
	tests/unit/tls/test_stream_openssl.c \
	tests/unit/tls/test_tls.c \
	tests/unit/tls/test_tls_certificates.c \
	tests/unit/tls/test_tls_gcm.c \
	tests/unit/tls/test_tls_hello.c \
	tests/unit/tls/test_tls_memory.c \
	tests/unit/tls/test_tls_records.c \
	tests/unit/tls/test_tls_threads.c \
	tests/unit/verify/test_identity.c \
	tests/unit/verify/test_json_id.c \
	tests/unit/verify/test_replay.c \
	tests/unit/verify/test_rows.c \
	tests/unit/verify/test_scheme_table.c \
	tests/unit/verify/test_sign.c \
	tests/unit/verify/test_together.c \
	tests/unit/verify/test_vectors.c \
	tests/unit/verify/test_verify.c \
	tests/unit/worker/test_claim.c \
	tests/unit/worker/test_listening.c

# Those of UNIT_TESTS that start threads: `make test` runs them once more under ThreadSanitizer.
THREAD_TESTS := \
	tests/unit/base/test_log.c \
	tests/unit/base/test_mailbox.c \
	tests/unit/base/test_tap.c \
	tests/unit/bench/test_disk_load.c \
	tests/unit/bench/test_flush_file.c \
	tests/unit/control/test_control.c \
	tests/unit/control/test_control_socket.c \
	tests/unit/engine/test_io.c \
	tests/unit/engine/test_loop.c \
	tests/unit/flow/test_flow.c \
	tests/unit/metrics/test_metrics.c \
	tests/unit/queue/test_queue_threads.c \
	tests/unit/queue/test_shard.c \
	tests/unit/store/test_store_journal_threads.c \
	tests/unit/store/test_store_writer.c \
	tests/unit/telemetry/test_spans.c \
	tests/unit/tls/test_tls_threads.c \
	tests/unit/verify/test_replay.c

# Helpers linked into every unit test and every simulated test.
TEST_SUPPORT_SRC := \
	tests/lib/bug.c \
	tests/lib/certificates.c \
	tests/lib/control_rig.c \
	tests/lib/echo.c \
	tests/lib/folder.c \
	tests/lib/guard.c \
	tests/lib/io_chaos.c \
	tests/lib/journal_rig.c \
	tests/lib/stream_peer.c \
	tests/lib/tls_pair.c \
	tests/lib/webhook.c \
	tests/lib/world.c \
	tests/sim/sim_client.c \
	tests/sim/sim_daemon.c \
	tests/sim/sim_ledger.c \
	tests/sim/sim_provider.c \
	tests/sim/sim_provider_request.c \
	tests/sim/sim_system.c \
	tests/sim/sim_system_check.c \
	tests/sim/sim_target.c \
	tests/unit/http/request_reader.c

# Each file holds one LLVMFuzzerTestOneInput. Its corpus is tests/fuzz/corpus/<name without fuzz_>/.
FUZZ_TARGETS := \
	tests/fuzz/fuzz_config.c \
	tests/fuzz/fuzz_control_query.c \
	tests/fuzz/fuzz_event.c \
	tests/fuzz/fuzz_http_chunked.c \
	tests/fuzz/fuzz_http_request.c \
	tests/fuzz/fuzz_http_response.c \
	tests/fuzz/fuzz_json_id.c \
	tests/fuzz/fuzz_verify.c

# Simulated I/O (engine/io.h over a seed), linked into SIM_TESTS in place of dataplane/engine/io_uring.c.
SIM_SRC := \
	tests/sim/io_sim.c \
	tests/sim/io_sim_net.c \
	tests/sim/io_sim_world.c

# Each file is a cmocka program of its own, run under AddressSanitizer.
SIM_TESTS := \
	tests/sim/test_io_sim.c \
	tests/sim/test_world_admission.c \
	tests/sim/test_world_limits.c \
	tests/sim/test_world_seeds.c

# Each file is a program of its own for a script in tests/tools or the Makefile; linked with the libraries alone.
TOOL_PROGRAMS := \
	tests/tools/crypto_bench.c \
	tests/tools/wolfssl_peer.c
