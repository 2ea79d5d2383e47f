/* SPDX-License-Identifier: GPL-2.0-or-later */
/* folder — a temporary folder for a test, and copies of flat folders as they are now. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FOLDER_PATH_SIZE = 256 };

/* A new, empty folder. Under $TMPDIR, or in memory, where a sync costs nothing, or in /tmp. */
void folder_make(char path[static FOLDER_PATH_SIZE]);
/* With the files and the folders in it. */
void folder_remove(const char *path);
/* The files in `from` as they are now, into a new folder `to`, holes and all. Without those
 * called lock*: closing LMDB's would take its lock away. */
void folder_copy(const char *from, const char *to);
/* "folder/name"; fails the program when too long. */
void folder_path(char to[static FOLDER_PATH_SIZE], const char *folder, const char *name);

/* Looks for the bytes in a file and, where they stand `nth` (from 0), turns one bit of the byte
 * `offset` into them. False when they are not there so often. */
bool folder_flip(const char *path, const void *bytes, size_t size, unsigned nth, size_t offset);
