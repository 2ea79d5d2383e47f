/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tar — see the header. */
#include "tar.h"

#include <string.h>

#include "base/check.h"

enum { BLOCK_SIZE = 512, CHECKSUM_AT = 148, CHECKSUM_SIZE = 8 };

/* "In the ustar format each header is one block": name, mode, uid, gid, size, mtime, checksum,
 * type, link, "ustar\0" "00", owner, group, device, prefix. Numbers are octal text. */
struct header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char time[12];
	char checksum[CHECKSUM_SIZE];
	char type;
	char link[100];
	char magic[6];
	char version[2];
	char owner[32];
	char group[32];
	char device[16];
	char prefix[155];
	char rest[12];
};
BOUND(sizeof(struct header) == BLOCK_SIZE);
BOUND(offsetof(struct header, checksum) == CHECKSUM_AT);

static void checksum_set(struct header *header)
{
	unsigned sum = 0;
	/* "As if the checksum field were all blanks." */
	memset(header->checksum, ' ', sizeof header->checksum);
	for (size_t i = 0; i < sizeof *header; i++) sum += ((const uint8_t *)header)[i];
	snprintf(header->checksum, sizeof header->checksum, "%06o", sum);
	header->checksum[CHECKSUM_SIZE - 1] = ' ';
}

void tar_write_file(FILE *file, const char *name, struct bytes content, uint64_t time_s)
{
	static const uint8_t zeros[BLOCK_SIZE];
	struct header header = {
		.mode = "0000600",
		.uid = "0000000",
		.gid = "0000000",
		.type = '0',
		.magic = "ustar",
		.version = { '0', '0' },
		.owner = "root",
		.group = "root",
	};
	CHECK(strlen(name) <= TAR_NAME_SIZE_MAX);
	CHECK(content.size < (size_t)1 << 33);
	memcpy(header.name, name, strlen(name));
	snprintf(header.size, sizeof header.size, "%011llo", (unsigned long long)content.size);
	snprintf(header.time, sizeof header.time, "%011llo",
		(unsigned long long)(time_s & 0x1ffffffff));
	checksum_set(&header);
	fwrite(&header, 1, sizeof header, file);
	fwrite(content.data, 1, content.size, file);
	size_t over = content.size % BLOCK_SIZE;
	if (over > 0) fwrite(zeros, 1, BLOCK_SIZE - over, file);
}

void tar_write_end(FILE *file)
{
	static const uint8_t zeros[2 * BLOCK_SIZE];
	fwrite(zeros, 1, sizeof zeros, file);
}
