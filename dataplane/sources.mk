# SPDX-License-Identifier: GPL-2.0-or-later
# The sources of the daemon, listed by hand: one file per line, sorted, grouped by folder. No wildcards:
# a file that is not listed here is not built, and tools/check_tidy reports it. Form:
#   BASE_SRC := \
#   	dataplane/base/bytes.c \
#   	dataplane/base/log.c
# dataplane/main.c is not listed: the Makefile links it into penstockd alone.

# dataplane/base
BASE_SRC := \
	dataplane/base/alloc.c \
	dataplane/base/bytes.c \
	dataplane/base/check.c \
	dataplane/base/cursor.c \
	dataplane/base/encoding.c \
	dataplane/base/hash.c \
	dataplane/base/log.c \
	dataplane/base/mailbox.c \
	dataplane/base/pool.c \
	dataplane/base/result.c \
	dataplane/base/version.c

# dataplane/metrics
METRICS_SRC := \
	dataplane/metrics/metrics.c \
	dataplane/metrics/metrics_expose.c

# dataplane/engine
ENGINE_SRC := \
	dataplane/engine/address.c \
	dataplane/engine/io_uring.c \
	dataplane/engine/io_uring_complete.c \
	dataplane/engine/io_uring_open.c \
	dataplane/engine/io_uring_socket.c \
	dataplane/engine/io_uring_submit.c \
	dataplane/engine/loop.c \
	dataplane/engine/timers.c

# dataplane/tls
TLS_SRC := \
	dataplane/tls/stream.c \
	dataplane/tls/tls_conn.c \
	dataplane/tls/tls_context.c \
	dataplane/tls/tls_error.c \
	dataplane/tls/tls_library.c \
	dataplane/tls/tls_ticket.c \
	dataplane/tls/tls_verify.c

# dataplane/http
HTTP_SRC :=

# dataplane/secrets
SECRETS_SRC :=

# dataplane/store
STORE_SRC :=

# dataplane/verify
VERIFY_SRC :=

# dataplane/queue
QUEUE_SRC :=

# dataplane/audit
AUDIT_SRC :=

# dataplane/flow
FLOW_SRC :=

# dataplane/config
CONFIG_SRC :=

# dataplane/receive
RECEIVE_SRC := \
	dataplane/receive/receive.c \
	dataplane/receive/receive_answer.c \
	dataplane/receive/receive_connection.c \
	dataplane/receive/receive_event.c \
	dataplane/receive/receive_request.c

# dataplane/deliver
DELIVER_SRC := \
	dataplane/deliver/backoff.c \
	dataplane/deliver/deliver.c \
	dataplane/deliver/deliver_answer.c \
	dataplane/deliver/deliver_attempt.c \
	dataplane/deliver/deliver_channel.c \
	dataplane/deliver/outcome.c

# dataplane/control
CONTROL_SRC :=

# dataplane/worker
WORKER_SRC := \
	dataplane/worker/contexts.c \
	dataplane/worker/worker.c

# dataplane: the wiring
DAEMON_SRC := \
	dataplane/daemon.c \
	dataplane/notify.c

DATAPLANE_SRC := \
	$(BASE_SRC) \
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
	$(RECEIVE_SRC) \
	$(DELIVER_SRC) \
	$(CONTROL_SRC) \
	$(WORKER_SRC) \
	$(DAEMON_SRC)
