/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum { FILES_MAX = 64, FILE_SIZE_MAX = 65536 };

struct file {
	char name[64];
	size_t size;
	char data[FILE_SIZE_MAX];
};

static struct file files[FILES_MAX];
static size_t file_count;

static void file_load(struct file *file, const char *name)
{
	char path[256];

	CHECK(snprintf(path, sizeof path, "%s/%s", CERTIFICATES_DIR, name) < (int)sizeof path);
	CHECK(snprintf(file->name, sizeof file->name, "%s", name) < (int)sizeof file->name);
	FILE *stream = fopen(path, "r");
	CHECK(stream != NULL);
	file->size = fread(file->data, 1, sizeof file->data, stream);
	CHECK(file->size > 0 && file->size < sizeof file->data);
	fclose(stream);
}

struct bytes certificate_file(const char *name)
{
	if (file_count == 0) {
		CHECK(system("tests/lib/certificates.sh " CERTIFICATES_DIR) == 0);
	}
	for (size_t i = 0; i < file_count; i++) {
		if (strcmp(files[i].name, name) == 0) return bytes_of(files[i].data, files[i].size);
	}
	CHECK(file_count < FILES_MAX);
	struct file *file = &files[file_count++];
	file_load(file, name);
	return bytes_of(file->data, file->size);
}
