/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bounds — every limit of the system: its unit in the name, its reason beside it.
 *
 * What an operator may change is a configuration key whose default and range stand here.
 * What may not be changed is here alone. (Not called limits.h: that would shadow libc's.)
 */
#pragma once

#include <stdint.h>

#include "base/check.h"

/* ---- HTTP messages --------------------------------------------------------------------------- */

/* nginx and HAProxy take 8 to 16 KiB of head; providers send under 2 KiB. */
#define HTTP_HEAD_SIZE_MAX 16384u
#define HTTP_TARGET_SIZE_MAX 8192u
/* Providers send 10 to 25 fields; proxies in front add a handful. */
#define HTTP_FIELDS_MAX 100u
/* A chunk header is hex size plus extensions nobody sends; more is an attack on memory. */
#define HTTP_CHUNK_LINE_SIZE_MAX 256u
#define HTTP_TRAILER_SIZE_MAX 4096u
/* Interim (1xx) answers a target may send before its final one. */
#define HTTP_INTERIM_MAX 8u

/* ---- Connections from providers -------------------------------------------------------------- */

/* Whole head, from its first byte, whatever trickles in: the slow-loris bound. */
#define RECEIVE_HEAD_TIMEOUT_MS 10000u
/* Whole body. 1 MiB in 30 s is 35 KiB/s: slower than any provider's data centre. */
#define RECEIVE_BODY_TIMEOUT_MS 30000u
/* A body that trickles holds a request slot before anybody has proved who sends it. So after a
 * grace it has to have come at so many bytes a second on average: a modem's rate, and far below
 * any data centre's. (Kestrel: 240 after 5 s; Apache's mod_reqtimeout: 500 after 20 s.) The grace
 * is a head's limit, which holds a slot for as long; a shorter one would keep off nobody but those
 * whose network stalls. */
#define RECEIVE_BODY_GRACE_MS RECEIVE_HEAD_TIMEOUT_MS
#define RECEIVE_BODY_RATE_MIN 4096u
#define RECEIVE_HANDSHAKE_TIMEOUT_MS 8000u
/* Between requests. Providers keep connections for a minute at most. */
#define RECEIVE_IDLE_TIMEOUT_MS 75000u
/* A client that does not read our small answers is stuck or hostile. */
#define RECEIVE_SEND_TIMEOUT_MS 10000u
/* A client that is refused in the middle of its request gets this long to notice and to end. */
#define RECEIVE_LINGER_TIMEOUT_MS 2000u
/* Requests on one connection, so that long-lived ones rebalance over workers. */
#define RECEIVE_REQUESTS_PER_CONNECTION_MAX 100000u
/* Connections per worker: 1 KiB of ours each plus TLS state; see docs/performance.md. */
#define RECEIVE_CONNECTIONS_DEFAULT 16384u
/* One connection in so many is kept for answering 503 when the others are taken. */
#define RECEIVE_SHED_SHARE 16u
/* When connections run short one that is idle for so long is closed for a new one. Under a second
 * it is between two requests of a client at work, whose next one would meet the close. */
#define RECEIVE_EVICT_IDLE_MS 1000u
/* Before a connection is closed for another, or another told to come again, what has come is looked
 * through; under a load that never lets up for so long, and in as many turns, each of which reads
 * some tens of sockets. */
#define RECEIVE_ADMISSION_LOOK_MS 20u
#define RECEIVE_ADMISSION_LOOK_TURNS 8u
/* What an evicted client may leave unread of its last answer before it is cut off. */
#define RECEIVE_EVICT_TIMEOUT_MS 2000u
/* So many idle connections leave at once while it is not known that they are: under a load that
 * never lets up, and when descriptors run out before connections do, at each try to accept (every
 * 100 ms), for an unknown number that wait in the kernel. */
#define RECEIVE_EVICT_AT_ONCE_MAX 16u
/* While sockets are parked it is looked so often whose time is over. */
#define RECEIVE_PARKED_CHECK_MS 250u
/* Requests between first byte and answer, per worker: bounds body memory and the
 * mailbox to the writer. */
#define RECEIVE_REQUESTS_DEFAULT 4096u
/* Head and body of a request that fits; virtual memory, touched only as far as used. */
#define RECEIVE_BUFFER_SIZE 65536u
BOUND(RECEIVE_BUFFER_SIZE > 2 * HTTP_HEAD_SIZE_MAX);
/* Requests with larger bodies under way at once, per worker: 64 MiB at the default size. */
#define RECEIVE_LARGE_BUFFERS 64u
#define RECEIVE_BODY_SIZE_DEFAULT (1024u * 1024u)
#define RECEIVE_BODY_SIZE_LIMIT (16u * 1024u * 1024u)
/* A request waits for others to be verified with until a turn of the worker brings nothing; while
 * each does, for so long and the turn that is under way then. One with a larger body does not wait:
 * it alone takes as long as sixteen of the usual ones. */
#define RECEIVE_GATHER_US_MAX 200u
#define RECEIVE_GATHER_BODY_SIZE_MAX 16384u
/* What a shed client is told to wait. Providers retry 503 with their own back-off. */
#define RECEIVE_RETRY_AFTER_S 5u
/* Each refused event would be a line otherwise, for hours. */
#define RECEIVE_REPLAY_FULL_LOG_US 60000000u

/* wolfSSL's objects of so many connections lie close together (tls_memory.c), of more wherever
 * malloc() puts them: 400 MiB of addresses, and memory only where they are used. */
#define TLS_SHELF_CONNECTIONS 131072u

/* ---- Engine ---------------------------------------------------------------------------------- */

/* Connections the kernel completes before we accept them, per listener and worker; it cuts this to
 * net.core.somaxconn, which is 4096, too. */
#define IO_ACCEPT_BACKLOG 4096u
/* Accepted sockets that wait for a connection, per worker. An accept that is armed takes a whole
 * backlog at once, whatever there is room for: this is two (TLS and plain, or IPv4 and IPv6). */
#define RECEIVE_PARKED_MAX (2u * IO_ACCEPT_BACKLOG)

/* One turn submits at most what fits; more than that waits a turn. */
#define IO_ENTRIES 2048u
/* Multishot operations complete unasked: four times the submissions (engine research §1.2). */
#define IO_COMPLETIONS (4u * IO_ENTRIES)
/* A TLS record with a 1 KiB body fits; a 16 KiB record takes five. */
#define IO_BUFFER_SIZE 4096u
#define IO_BUFFER_COUNT 4096u
BOUND((IO_BUFFER_COUNT & (IO_BUFFER_COUNT - 1)) == 0 && IO_BUFFER_COUNT <= 32768u);
/* Ciphertext one connection may hold back before its receive is paused. */
#define IO_BUFFERS_PER_SOCKET_MAX 16u

/* ---- Store ----------------------------------------------------------------------------------- */

/* One LMDB overflow page: larger values need contiguous pages, whose search is quadratic
 * (engine research §0.6). */
#define STORE_VALUE_SIZE_MAX 4080u
/* Jobs in one transaction: bounds its dirty pages and the latency of the first in it. */
#define STORE_BATCH_JOBS_MAX 1024u
#define STORE_BATCH_BYTES_MAX (32u * 1024u * 1024u)
/* Jobs that wait for the worker to have nothing else at hand (store_writer.h), and for how long:
 * one that is never done gets its commits all the same. */
#define STORE_GATHER_JOBS_MAX 512u
#define STORE_GATHER_US_MAX 4000u
BOUND(STORE_GATHER_JOBS_MAX <= STORE_BATCH_JOBS_MAX);
/* Then, for as long as so many commits take and so long at most, for the siblings of the last
 * batch, if there are so many. A commit is 200 us on a good disk, and a client that handles its
 * answers one by one needs longer. */
#define STORE_SIBLINGS_MIN 8u
#define STORE_SIBLINGS_COMMITS 3u
#define STORE_SIBLINGS_US_MAX 1200u
/* Where they do not wait, once in so many batches as a trial; after each in vain in twice as many,
 * so that at a steady open load less than one event in a hundred waits for one. */
#define STORE_SIBLINGS_PAUSES 16u
#define STORE_SIBLINGS_PAUSES_MAX 1024u
/* A value in the journal. Small against a segment; a payload of 1 MiB is 16 of them. */
#define STORE_EVENT_VALUE_SIZE_MAX (64u * 1024u)
/* The journal is made of segments of a 32nd of the quota: what a dead letter keeps from being
 * freed. */
#define JOURNAL_SEGMENT_SIZE_MIN (1u * 1024u * 1024u)
#define JOURNAL_SEGMENT_SIZE_MAX (64u * 1024u * 1024u)
#define JOURNAL_SEGMENT_QUOTA_PART 32u
BOUND(STORE_EVENT_VALUE_SIZE_MAX <= JOURNAL_SEGMENT_SIZE_MIN / 8);
/* Segments made before they are needed, and how they are filled: so much, then a pause, as long as
 * they are ready in time that way. The disk flushes it along with the next commit, which must not
 * feel it: a quarter of that, and of the pause, unless commits write nearly as fast. Then what a
 * piece costs counts more than how long it takes. */
#define JOURNAL_SPARES 4u
#define JOURNAL_ZERO_SIZE (1024u * 1024u)
#define JOURNAL_ZERO_PAUSE_US 8000u
#define JOURNAL_ZERO_PAUSE_MIN_US 500u
#define JOURNAL_ZERO_RESERVE_US 50000u /* ready so long before: what flushes it takes time, too */
#define JOURNAL_ZERO_SIZE_SMALL (JOURNAL_ZERO_SIZE / 4u)
#define JOURNAL_ZERO_BUSY_RATE (100u * 1024u * 1024u) /* bytes per second */
/* How many inodes ext4 keeps in a block (256 bytes each, in 4 KiB), and how many are taken and
 * given back at most for a file that is to have no neighbours: what is left of two blocks. */
#define JOURNAL_INODES_PER_BLOCK 16u
#define JOURNAL_INODES_ASIDE_MAX (2u * JOURNAL_INODES_PER_BLOCK)
/* 2 TiB a shard; a map and a name each. */
#define JOURNAL_SEGMENTS_MAX 32768u
/* The journal since the last checkpoint, and before it, stays in memory: what is delivered at once
 * is not read from the disk. Six of them per shard; of more than that between two checkpoints the
 * rest goes through a buffer. */
#define JOURNAL_TAIL_SIZE (9u * 1024u * 1024u)
#define JOURNAL_BUFFER_SIZE (1u * 1024u * 1024u)

BOUND(JOURNAL_BUFFER_SIZE >= 2 * STORE_EVENT_VALUE_SIZE_MAX && JOURNAL_BUFFER_SIZE % 4096 == 0);
/* LMDB commits after so much of the journal, or of time with something to commit, or when there is
 * nothing to do for a while: bounds what a restart does again, and the memory for what is not
 * there yet. */
#define STORE_CHECKPOINT_SIZE (8u * 1024u * 1024u)
#define STORE_CHECKPOINT_US 1000000u
#define STORE_CHECKPOINT_IDLE_US 50000u
BOUND(JOURNAL_TAIL_SIZE > STORE_CHECKPOINT_SIZE);
/* As many places of events and more are put into LMDB's transaction between two batches, 256 in
 * 15 µs, so that a checkpoint, which holds all commits up, has few left. */
#define STORE_TAKE_OVER_ROWS 256u
BOUND(STORE_TAKE_OVER_ROWS <= STORE_BATCH_JOBS_MAX);
/* Values between two checkpoints. */
#define RECENT_ROWS_MAX 65536u
/* Of one batch: each job one event, and all that its bytes can hold beside. */
#define RECENT_ROWS_PER_BATCH \
	(STORE_BATCH_JOBS_MAX + 2u * STORE_BATCH_BYTES_MAX / STORE_EVENT_VALUE_SIZE_MAX)
BOUND(RECENT_ROWS_MAX >= 8 * RECENT_ROWS_PER_BATCH);
/* Part of the quota kept back, because deleting needs pages too. */
#define STORE_RESERVE_PERCENT 5u

/* ---- Records --------------------------------------------------------------------------------- */

#define NAME_SIZE_MAX 64u      /* endpoints, targets, tenants: labels in metrics */
#define EVENT_ID_SIZE_MAX 256u /* what a provider calls the event */
#define CONTENT_TYPE_SIZE_MAX 256u
#define CORRELATION_ID_SIZE_MAX 128u
#define FORWARD_FIELDS_SIZE_MAX 2048u /* provider fields kept for the target */
#define ENDPOINTS_MAX 65536u
#define TARGETS_MAX 65536u
#define TARGETS_PER_ENDPOINT_MAX 16u
/* Endpoints with an account in a shard's ledger: as many as there can be, and as many that were
 * there once. 36 bytes each, when used. */
#define ACCOUNTS_MAX (2u * ENDPOINTS_MAX)
/* Rows that are looked at, with the store held as it was, to count a shard's deliveries again. At
 * some 2 us each: longer would keep space from being used again. */
#define LEDGER_COUNT_ROWS_MAX 200000u
#define WORKERS_MAX 256u
/* A second worker on a CPU makes nothing faster; but each may have as many connections as the limit
 * of open files, which is a million at most (fs.nr_open). */
#define WORKERS_PER_CPU_DEFAULT 1u
#define WORKERS_PER_CPU_LIMIT 16u

/* ---- Delivery -------------------------------------------------------------------------------- */

#define DELIVER_ATTEMPTS_DEFAULT 5u
#define DELIVER_ATTEMPTS_LIMIT 100u
#define DELIVER_BACKOFF_BASE_MS_DEFAULT 1000u
#define DELIVER_BACKOFF_MAX_MS_DEFAULT 60000u
#define DELIVER_TIMEOUT_MS_DEFAULT 15000u /* Standard Webhooks: 15 to 30 s */
#define DELIVER_CONNECT_TIMEOUT_MS_DEFAULT 5000u
#define DELIVER_CONNECTIONS_DEFAULT 64u /* per target and worker */
/* Connections to all targets together, per worker: one for each of 10,000 targets, and some more
 * for those with much to do. With fewer than targets in use each event pays for a handshake: 280
 * instead of 28 us (docs/performance.md). Some 5 KiB each, when open. */
#define DELIVER_CHANNELS_MAX 16384u
/* Idle connections to a target are closed after this: shorter than common keep-alive
 * limits of servers (nginx 75 s), so that we do not race their close. */
#define DELIVER_IDLE_TIMEOUT_MS 55000u
/* What a target may take to read the rest of what was written to it before we closed. */
#define DELIVER_CLOSE_TIMEOUT_MS 5000u
/* Of an answer's body; beyond it the connection is given up, the status still counts. */
#define DELIVER_ANSWER_SIZE_MAX 65536u
/* Longest Retry-After that is honoured. */
#define DELIVER_RETRY_AFTER_MAX_S 86400u
/* First bytes of a target's answer kept in the attempt record. */
#define ATTEMPT_EXCERPT_SIZE_MAX 128u
/* Deliveries a shard holds in memory, read ahead of their sending. */
#define DELIVER_WINDOW_EVENTS 16384u
BOUND((DELIVER_WINDOW_EVENTS & (DELIVER_WINDOW_EVENTS - 1)) == 0);
/* Of one target; what comes beyond is deferred on disk, so that a slow target does not
 * hold up the others. */
#define DELIVER_READY_PER_TARGET 2048u
/* Deliveries in memory by where they came from, half a KiB each: events of the window with
 * four targets on average; … */
#define QUEUE_WINDOW_DELIVERIES_MAX (4u * DELIVER_WINDOW_EVENTS)
/* … retries that have come due; and what is read back for slow targets. */
#define QUEUE_SCHEDULED_MAX 8192u
#define QUEUE_DEFERRED_MAX 16384u

/* ---- Replay memory --------------------------------------------------------------------------- */

#define REPLAY_WINDOW_S_DEFAULT 86400u
#define REPLAY_ENTRIES_DEFAULT (1u << 20)

/* ---- Configuration: what keys may say; defaults stand with their subsystem above ------------- */

/* 65,536 endpoints, the most there are, take 200 bytes each. */
#define CONFIG_FILE_SIZE_MAX (16u * 1024u * 1024u)
/* Keys and values: 65,536 endpoints and as many targets with 30 of them each. */
#define CONFIG_NODES_MAX (1u << 22)
/* The deepest that means anything is 6 (a name of a certificate of a listener). */
#define CONFIG_DEPTH_MAX 16u
/* One value; the longest that means anything is a URL. */
#define CONFIG_SCALAR_SIZE_MAX 8192u
#define FILE_NAME_SIZE_MAX 4095u  /* PATH_MAX less its NUL */
#define SOCKET_NAME_SIZE_MAX 107u /* sun_path less its NUL */
#define HOST_SIZE_MAX 253u        /* RFC 1035 §2.3.4, in text form */
#define URL_SIZE_MAX 2048u
/* An endpoint's path; it has to fit into a request target with room for a query. */
#define ENDPOINT_PATH_SIZE_MAX 1024u
BOUND(ENDPOINT_PATH_SIZE_MAX < HTTP_TARGET_SIZE_MAX);
/* Addresses times workers are sockets; hosts have a handful of addresses. */
#define LISTENERS_MAX 64u
/* Listeners of a worker at once: a reload may bring as many new ones while the old ones leave, and
 * where more sockets were handed to us than there are workers it has several of one address. */
#define RECEIVE_LISTENERS_MAX (4u * LISTENERS_MAX)
/* Sockets that systemd, or the process before, may hand over: 64 addresses for 64 workers. */
#define HANDED_SOCKETS_MAX 4096u
/* A connection that is idle for so long while the worker drains is closed: nobody who sends more
 * than three a second on one meets the close, and a successor waits for it. Looked at so often. */
#define RECEIVE_DRAIN_IDLE_MS 300u
#define RECEIVE_DRAIN_CHECK_MS 25u
/* A listener that leaves is looked at so often for the last one it has accepted. */
#define RECEIVE_LEAVE_CHECK_MS 1u
/* For a listener's address to become free: what a process that was killed listened on the kernel
 * closes with its ring, some time after the process has gone. */
#define LISTEN_PATIENCE_MS 5000u
#define LISTEN_RETRY_MS 20u
/* The same in a reload, for an address that one before has given up. */
#define LISTEN_RELOAD_PATIENCE_MS 1000u
/* wolfSSL keeps one context per certificate and worker. */
#define CERTIFICATES_PER_LISTENER_MAX 1024u
/* Public authorities issue 100 names per certificate. */
#define NAMES_PER_CERTIFICATE_MAX 100u
#define CONTROL_ADMINS_MAX 64u
#define CONTROL_OPERATORS_MAX 64u
/* A CPU number; the kernel's own bound for affinity masks of fixed size. */
#define CPU_INDEX_LIMIT 1024u
BOUND(WORKERS_MAX <= CPU_INDEX_LIMIT);

#define RECEIVE_CONNECTIONS_MIN 16u
#define RECEIVE_CONNECTIONS_LIMIT (1u << 20)
#define RECEIVE_REQUESTS_MIN 16u
#define RECEIVE_REQUESTS_LIMIT (1u << 16)
#define RECEIVE_BODY_SIZE_MIN 1024u
/* A provider's timestamp may be off by minutes; an hour is a broken clock, a day an open door. */
#define VERIFY_TOLERANCE_S_LIMIT 3600u
#define REPLAY_WINDOW_S_MIN 1u
/* Providers retry for up to a week; fingerprints of the window are read again at every start. */
#define REPLAY_WINDOW_S_LIMIT (30u * 86400u)
#define REPLAY_ENTRIES_MIN 1024u
#define REPLAY_ENTRIES_LIMIT (1u << 28)
/* Less than a few batches with their reserve cannot work. */
#define STORE_QUOTA_SIZE_MIN (64u * 1024u * 1024u)
#define STORE_QUOTA_SIZE_LIMIT (UINT64_C(1) << 50)
/* A week covers a long weekend plus the time to notice. */
#define STORE_RETENTION_S_DEFAULT (7u * 86400u)
#define STORE_RETENTION_S_MIN 1u
#define STORE_RETENTION_S_LIMIT (3650u * 86400u)
/* Below it an operator who was asleep finds nothing to replay: a warning. */
#define STORE_RETENTION_S_SHORT 86400u
#define DELIVER_TIMEOUT_MS_MIN 100u
#define DELIVER_TIMEOUT_MS_LIMIT 600000u
#define DELIVER_CONNECT_TIMEOUT_MS_MIN 50u
#define DELIVER_CONNECT_TIMEOUT_MS_LIMIT 60000u
#define DELIVER_CONNECTIONS_LIMIT 65536u
#define DELIVER_BACKOFF_MS_MIN 10u
#define DELIVER_BACKOFF_MS_LIMIT (24u * 3600u * 1000u)
/* systemd's TimeoutStopSec is 90 s; drain inside it with time to close the store. */
#define DRAIN_TIMEOUT_S_DEFAULT 30u
#define DRAIN_TIMEOUT_S_LIMIT 3600u
/* What a reload says of what it changed: a screenful, by names alone. */
#define CONFIG_CHANGES_MAX 64u
#define CONFIG_CHANGE_SIZE 192u
/* Generations that are remembered, and texts to go back to: enough for a bad week, 16 MiB each at
 * worst. */
#define GENERATIONS_MAX 100u
#define GENERATION_TEXTS_MAX 10u
/* What changed in one, put together. */
#define GENERATION_CHANGES_SIZE 512u
/* For a configuration to be confirmed: longer than this nobody is looking any more. */
#define CONFIRM_WITHIN_S_LIMIT 86400u
/* What closing the store may take after that: systemd is told the sum. */
#define CLOSE_PATIENCE_US 60000000u
/* Looks of the watchdog at the threads in one WatchdogSec=: two may find somebody busy. */
#define WATCHDOG_LOOKS 4u
/* WatchdogSec= while one program gives way to the next, and neither can say that it is alive: as
 * long as a start may take, which is TimeoutStartSec= of the unit. */
#define WATCHDOG_UPGRADE_US (300 * US_PER_S)
/* The program on disk, asked whether it would start: names may take their time. */
#define UPGRADE_CHECK_MS_MAX 60000u
/* What it says when it would not. */
#define UPGRADE_OUTPUT_SIZE 4096u
/* Between the last accept of one program and the first of the next: requests that are not done by
 * then are cut, as everybody else waits in the backlog meanwhile. */
#define UPGRADE_INTAKE_MS_MAX 3000u
#define UPGRADE_LOOK_MS 10u
/* How long the ticker is waited for in an upgrade: it may be with a name server, and everybody
 * waits in the backlog meanwhile. */
#define UPGRADE_TICKER_MS_MAX 1000u
/* How long penstockctl waits for the next program: attempts under way come first. */
#define UPGRADE_PATIENCE_S 120u
/* Threads that wait for name servers while a flow is compiled. */
#define RESOLVE_THREADS_MAX 16u
/* A check of the environment: one target, connect and handshake; all of them, so that a check
 * ends while somebody waits for it. */
#define PREFLIGHT_CONNECT_MS_MAX 5000u
#define PREFLIGHT_TARGETS_MS_MAX 60000u
/* Less is a warning where no quota is set: some minutes of events at full speed. */
#define PREFLIGHT_DISK_FREE_SIZE_MIN (UINT64_C(1) << 30)
/* A certificate that ends so soon is a warning: authorities renew 30 days ahead, and two weeks
 * later somebody should look. */
#define PREFLIGHT_EXPIRY_S (14u * 86400u)

/* ---- Telemetry ------------------------------------------------------------------------------- */

/* Spans of one worker that wait for the telemetry thread, which looks twice a second: 8,000 a
 * second, two for each event that is sampled. Half a KiB each, touched when used. */
#define TELEMETRY_RING_SPANS 4096u
#define TELEMETRY_INTERVAL_MS 500u
/* In one request to the collector: half a megabyte as a rule. */
#define TELEMETRY_BATCH_SPANS 512u
/* A collector that takes longer is as good as none; what comes meanwhile waits in the rings. */
#define TELEMETRY_POST_TIMEOUT_MS 3000u
/* Ratios are kept as so many of a million. */
#define TELEMETRY_RATIO_ONE 1000000u
#define TELEMETRY_RATIO_DEFAULT 10000u
/* W3C Trace Context §3.3.1.5: "Vendors SHOULD propagate at least 512 characters of a combined
 * header." */
#define TRACESTATE_SIZE_MAX 512u

/* ---- Control --------------------------------------------------------------------------------- */

/* On the control socket, and as many on the loopback listener: an operator's shell, a few
 * scripts, two Prometheus servers and a kubelet leave most of them free. */
#define CONTROL_CLIENTS_MAX 32u
/* What a client may keep to itself: the first byte to the last of a request, between requests,
 * and while it takes nothing of its answer. Prometheus asks every 15 to 60 s. */
#define CONTROL_HEAD_TIMEOUT_MS 10000u
#define CONTROL_IDLE_TIMEOUT_MS 75000u
#define CONTROL_SEND_TIMEOUT_MS 10000u
/* An answer with its head: the largest payload, or all metrics. Address space, not memory. */
#define CONTROL_ANSWER_SIZE_MAX (32u * 1024u * 1024u)
BOUND(CONTROL_ANSWER_SIZE_MAX > RECEIVE_BODY_SIZE_LIMIT + (1u << 20));
/* Events one request may look at while it filters; the page then ends early, with a cursor.
 * At 1 to 2 µs each the control thread is busy for some 20 ms. */
#define CONTROL_SCAN_EVENTS_MAX 10000u
/* How long one replay request goes on taking dead letters out; what is left is said. */
#define CONTROL_REPLAY_TIME_MAX_MS 30000u
/* Replays handed to the writers at once: one group commit's worth. */
#define CONTROL_REPLAY_BATCH 256u
BOUND(CONTROL_REPLAY_BATCH <= STORE_BATCH_JOBS_MAX);
/* People who watch at the same time, and what a worker keeps for them: 160 bytes each, so a
 * fraction of a MiB per worker once somebody has watched. At 50,000 a second a reader who comes by
 * every 20 ms finds 1,000. */
#define TAP_FOLLOWERS_MAX 4u
#define TAP_RING_RECORDS 2048u
#define CONTROL_TAIL_INTERVAL_MS 20u
/* So often a tail hears something, so that its client knows that all is well. */
#define CONTROL_TAIL_ALIVE_MS 2000u
#define CONTROL_TAIL_SAMPLE_MAX 1000000u
/* Events that a drain looks at to say whose deliveries are left, per shard: some two seconds. */
#define CONTROL_DRAIN_EVENTS_MAX 1000000u
/* What control_stop() gives clients to take the answers that are ready. */
#define CONTROL_STOP_TIMEOUT_MS 1000u
