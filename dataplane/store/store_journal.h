/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_journal — the store's journal: what a batch writes goes to its end first, with one write
 * and one flush, and is durable there before LMDB has it. LMDB's own commits come later and less
 * often (checkpoints); after a crash what follows the last of them is done again from the journal.
 * Decision 011.
 *
 * The values of the table EVENTS stay in the journal for good: their rows in LMDB are places.
 *
 * The journal is a row of segments of one size, each a file "journal-<n>": a header page with its
 * number, then batches, each starting on a sector. Numbers only grow; a file whose values are all
 * gone is used again under a new number, so that writing changes data and nothing else on the
 * disk. A position is number · segment size + offset.
 *
 *   record   checksum(8) size(4) kind(1) table(1) key size(2) key value, padded to 8
 *   batch    BEGIN (its number) … COMMIT (the same, and a hash of all checksums in between), padded
 *            to a sector
 *
 * A checksum is seeded with the record's position and a number that the store was made with: what
 * a segment held before, or what a payload makes believe, is no record.
 *
 * All functions belong to the writer thread (or to the one that opens), except journal_view(),
 * journal_view_record() and journal_segment_at().
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/check.h"
#include "store/store.h"

enum {
	JOURNAL_PAGE_SIZE = 4096,
	JOURNAL_FILE_NAME_SIZE = 28, /* "journal.aside-", and digits */
	JOURNAL_SECTOR_SIZE = 512,
	JOURNAL_HEADER_SIZE = JOURNAL_PAGE_SIZE,
	JOURNAL_RECORD_HEAD_SIZE = 16,
};

enum journal_kind { JOURNAL_BEGIN = 1, JOURNAL_COMMIT, JOURNAL_END, JOURNAL_PUT, JOURNAL_DELETE };

struct journal_place {
	uint64_t position;
	uint32_t size; /* of the whole record */
	uint32_t file; /* that has its segment */
};

struct journal_segment {
	_Atomic uint64_t number; /* 0: not in use */
	const uint8_t *map;      /* read only; stays while the journal is open. NULL: no file */
	uint32_t file;           /* journal-<file> */
	int fd;                  /* while it is free or written to: no lack of them can hurt then */
	uint64_t freed_at;       /* epoch that may still read it; 0: none */

	/* As of now, and as of the last checkpoint. */
	uint32_t written_size;
	uint64_t row_count; /* rows of EVENTS in it */
	uint32_t saved_size;
	uint64_t saved_count;
};

/* How fast commits take what the helper thread fills with zeros. */
struct journal_zeroing {
	uint64_t since_us;
	uint64_t used_total; /* of the journal, at that time */
	uint32_t size;       /* zeros written since; up to JOURNAL_ZERO_SIZE */
	uint64_t writing_us; /* and how long that took, without the pauses */
	/* Averages: bytes per second that commits write (0: none, or not known yet), and how long
	 * JOURNAL_ZERO_SIZE of zeros takes. */
	uint64_t rate;
	uint64_t write_us;
};

/* A piece, and how long to wait behind it. */
struct journal_zero_step {
	uint32_t size;
	uint32_t pause_us;
};

/* Segments that the helper thread makes beforehand: files behind those in use, not opened yet. */
struct journal_spares {
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool wanted; /* until there are JOURNAL_SPARES, or no space */
	uint32_t ready_count;
	bool awaited; /* the writer waits for the next one */
	bool stopping;
	uint64_t refused_at; /* second at which there was no space for one; 0: there was */
	struct journal_zeroing zeroing; /* the helper's own */
};

struct journal {
	int folder_fd;
	uint16_t shard;
	uint32_t segment_size;
	uint64_t seed;
	uint64_t keep_free_size;          /* of the file system: no new segment takes it */
	uint32_t spares_end;              /* files, in use and spare: only the next one beyond */
	struct journal_segment *segments; /* by file; JOURNAL_SEGMENTS_MAX */
	_Atomic uint32_t segment_count;
	uint32_t found; /* file that journal_segment_of() found last */
	struct journal_spares spares;
	uint64_t extend_refused_at;

	/* The end: where the next batch begins, and its number. */
	uint64_t position;
	uint64_t batch;
	struct journal_segment *current;

	/* The batch being written. */
	bool open;
	bool overflow;   /* a record that could do without found no space: only LMDB has it */
	uint32_t values; /* EVENTS records in it */
	uint64_t chain;  /* over the checksums of its records; its COMMIT holds it */
	/* What it has written, in memory: from the page on that is not full in the file yet.
	 * Records stay where they are in the tail; in the scratch buffer they do not. */
	uint8_t *buffer;
	size_t used_size;
	uint64_t buffer_position; /* where that is */
	uint8_t *tail;            /* JOURNAL_TAIL_SIZE, the reader's epoch's */
	uint8_t *scratch;         /* JOURNAL_BUFFER_SIZE: when the tail is full */
	uint8_t *buffer_before;
	size_t used_before;
	struct journal_segment *before; /* current one when the batch began */
	uint64_t first_number;          /* segment of its BEGIN */
	uint64_t position_before;
	bool undoable; /* ended, but not by itself: journal_abort() can still take it back */

	/* The last checkpoint's end. */
	uint64_t saved_position;
	uint64_t saved_batch;

	_Atomic uint64_t file_size;  /* all files */
	_Atomic uint64_t used_total; /* written in segments in use */
};

/* folder_fd, shard, segment_size, seed, keep_free_size and spares_end are set by the caller; reads
 * the headers of all files. `new`: there must be none. */
MUST_USE enum result journal_open(struct journal *journal, bool new, char *error,
	size_t error_size);
void journal_close(struct journal *journal);
/* The thread that makes segments before they are needed: zeros written, so that filling them later
 * changes no metadata. Without it they are made when needed, and not written beforehand. */
void journal_start_helper(struct journal *journal, int cpu);

/* A batch begins with its first record; before it: nothing of the last one counts any more. */
void journal_batch(struct journal *journal);
/* Adds a record to the batch, which begins with its first. *ret_record: where it is in the tail, or
 * NULL. RESULT_SPACE: there is no room for it, give up the batch; only for values that live here,
 * others can do without (`overflow`). */
MUST_USE enum result journal_put(struct journal *journal, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count, struct journal_place *ret_place,
	const uint8_t **ret_record);
MUST_USE enum result journal_delete(struct journal *journal, enum store_table table,
	struct bytes key);
/* Between batches: goes on in another tail. What is in the old one is not touched any more. */
void journal_set_tail(struct journal *journal, uint8_t *tail);
/* Ends the batch and makes it durable. `whole` false: a commit of LMDB will say that it is part of
 * the store, the journal alone will not. */
MUST_USE enum result journal_commit(struct journal *journal, bool whole);
/* The batch did not happen: the one that is open, or one that journal_commit() ended not whole.
 * RESULT_DISK: the files say otherwise, nothing may be written any more. */
MUST_USE enum result journal_abort(struct journal *journal);

/* A checkpoint is about to have all there is: puts the table of segments into its transaction … */
void journal_save(struct journal *journal, struct store_txn *txn);
/* … and it is on disk. Segments without rows may be used again once nobody reads in epoch
 * `epoch` or one before it. */
void journal_saved(struct journal *journal, uint64_t epoch);
/* Counters as at the last checkpoint: what came after is done again. */
void journal_restore(struct journal *journal);
/* Frees the segments that no epoch before `oldest` can read any more. */
void journal_reclaim(struct journal *journal, uint64_t oldest_epoch);
/* At open: the settings and the end as of the last checkpoint, before journal_open() …
 * RESULT_NOT_FOUND: a new store. */
MUST_USE enum result journal_settings_read(struct store_txn *txn, struct journal *journal);
/* … and after it the table of segments. */
MUST_USE enum result journal_load(struct journal *journal, struct store_txn *txn, char *error,
	size_t error_size);

/* Walks the batches after the last checkpoint up to position `until`, or to the end of what was
 * written (UINT64_MAX: then that becomes the end of the journal). RESULT_MALFORMED: the journal is
 * damaged, there is more behind the damage. */
struct journal_record {
	enum journal_kind kind;
	enum store_table table;
	struct bytes key;
	struct bytes value;
	struct journal_place place;
};
typedef enum result journal_redo_fn(void *owner, const struct journal_record *record);
MUST_USE enum result journal_redo(struct journal *journal, uint64_t until, journal_redo_fn *redo,
	void *owner, char *error, size_t error_size);

/* Rows of EVENTS come and go. Their segments are free when the last has gone. */
void journal_row_added(struct journal *journal, struct journal_place place);
void journal_row_deleted(struct journal *journal, struct journal_place place);

/* The value of the record at a place. Any thread; the view is the file's memory and stays as long
 * as the epoch of the reader. RESULT_NOT_FOUND: the segment was given up; RESULT_MALFORMED:
 * rotten. journal_view_own(): the writer thread, which sees what is not in the file yet, too. */
MUST_USE enum result journal_view(const struct journal *journal, struct journal_place place,
	enum store_table table, struct bytes key, struct bytes *ret_value);
MUST_USE enum result journal_view_own(const struct journal *journal, struct journal_place place,
	enum store_table table, struct bytes key, struct bytes *ret_value);

/* The same of a record in a tail. */
MUST_USE enum result journal_view_record(const struct journal *journal, struct journal_place place,
	const uint8_t *record, enum store_table table, struct bytes key, struct bytes *ret_value);

/* Bytes on the disk of the journal files in a folder, whatever numbers they have: a restored store
 * has gaps. */
uint64_t journal_files_size(int folder_fd);

/* Whether `size` bytes of events can be written now. Writer thread. */
bool journal_has_room(struct journal *journal, uint64_t size);

/* store_journal_segment.c: files. */
struct journal_segment *journal_segment_of(struct journal *journal, uint64_t position);
/* Any thread. NULL: it was given up. */
struct journal_segment *journal_segment_at(const struct journal *journal,
	struct journal_place place);
/* The next number for a file that is free, or that can be made now. NULL: no space. */
struct journal_segment *journal_segment_take(struct journal *journal, uint64_t number);
void journal_segment_free(struct journal *journal, struct journal_segment *segment);
/* The file exists now: one more segment, not in use. NULL: it cannot be opened or mapped now. */
struct journal_segment *journal_segment_add(struct journal *journal, uint32_t file);
/* One that is not in use, or NULL. */
struct journal_segment *journal_segment_find_free(const struct journal *journal);
void journal_file_name(uint32_t file, char name[static JOURNAL_FILE_NAME_SIZE]);
/* Files that are no segment: one being made by the helper and by the writer, and, with a number
 * behind, those that only hold an inode for a moment. Who opens the journal removes what a kill
 * has left of them. */
#define JOURNAL_UNFINISHED_PREFIX "journal."
#define JOURNAL_NEW_NAME JOURNAL_UNFINISHED_PREFIX "new"
#define JOURNAL_NOW_NAME JOURNAL_UNFINISHED_PREFIX "now"
#define JOURNAL_ASIDE_PREFIX JOURNAL_UNFINISHED_PREFIX "aside-"
/* It is full: only read from now on. */
void journal_segment_done(struct journal_segment *segment);
/* Takes the number out of the file, if it is there already. RESULT_DISK: it stays, be it for lack
 * of space, and must not come again. */
MUST_USE enum result journal_segment_wipe(struct journal *journal, struct journal_segment *segment);
MUST_USE enum result journal_segment_open(const struct journal *journal,
	struct journal_segment *segment);
uint64_t journal_checksum(const struct journal *journal, uint64_t position, const uint8_t *record,
	size_t size);
/* The hash over the checksums of a batch's records so far, and one more. */
uint64_t journal_chain(uint64_t chain, uint64_t sum);
MUST_USE enum result journal_write_at(int fd, const uint8_t *bytes, size_t size, uint64_t offset);
/* store_journal_spare.c: a spare, or one made now. NULL: there is no space, or it has to wait. */
struct journal_segment *journal_segment_make(struct journal *journal);
/* Has the next ones made, by the helper, in time. */
void journal_want_spares(struct journal *journal);
/* Begins to measure; what was known before is kept. */
void journal_zeroing_begin(struct journal_zeroing *zeroing, uint64_t used_total, uint64_t now_us);
/* A piece of `size` zeros has been written, in `writing_us`; what the journal has in use by now. */
void journal_zeroing_note(struct journal_zeroing *zeroing, uint32_t size, uint64_t writing_us,
	uint64_t used_total, uint64_t now_us);
/* `left_size`: zeros until the segment is ready, not 0; `room_size`: what commits may write until
 * they need it, 0 when the writer waits for it. */
struct journal_zero_step journal_zeroing_step(const struct journal_zeroing *zeroing,
	uint64_t left_size, uint64_t room_size);
/* Whether there was space for more when it was last tried. */
bool journal_may_grow(struct journal *journal);
/* Waits until it has ended; nothing to do without one. */
void journal_stop_helper(struct journal *journal);
/* store_journal.c: the page that the next batch goes on in. */
void journal_load_buffer(struct journal *journal);
void journal_write_header(const struct journal *journal, uint64_t number, uint8_t *page);
