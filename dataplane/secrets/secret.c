/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "secrets/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "secrets/secrets_internal.h"

struct secret {
	size_t size;
	uint8_t data[];
};
BOUND(sizeof(struct secret) + SECRET_SIZE_MAX <= SECRET_MEMORY_SIZE_MAX);

enum result secret_create(struct bytes bytes, struct secret **ret)
{
	if (bytes.size == 0) return RESULT_MALFORMED;
	if (bytes.size > SECRET_SIZE_MAX) return RESULT_FULL;

	struct secret *secret = secret_memory_take(sizeof *secret + bytes.size);
	secret->size = bytes.size;
	memcpy(secret->data, bytes.data, bytes.size);
	*ret = secret;
	return RESULT_OK;
}

void secret_free(struct secret *secret)
{
	if (secret == NULL) return;
	secret_memory_give(secret, sizeof *secret + secret->size);
}

struct bytes secret_bytes(const struct secret *secret)
{
	return bytes_of(secret->data, secret->size);
}

bool secret_equals(const struct secret *secret, struct bytes presented)
{
	return bytes_equal_constant_time(secret_bytes(secret), presented);
}

static enum result open_failure(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR: return RESULT_NOT_FOUND;
	case EACCES:
	case EPERM:
	case ELOOP: return RESULT_PERMISSION;
	default: return RESULT_DISK;
	}
}

/* Only its owner, root and our own group may know or change the secret. systemd hands
 * credentials over as 0440 root:root with an access list, which is why root's group may. */
static bool file_is_private(const struct stat *status)
{
	if (!S_ISREG(status->st_mode)) return false;
	if ((status->st_mode & (S_IROTH | S_IWOTH)) != 0) return false;
	if ((status->st_mode & (S_IRGRP | S_IWGRP)) == 0) return true;
	return status->st_gid == 0 || status->st_gid == getegid();
}

static enum result read_all(int fd, uint8_t *data, size_t capacity, size_t *ret_size)
{
	size_t size = 0;
	while (size < capacity) {
		ssize_t count = read(fd, data + size, capacity - size);
		if (count < 0 && errno == EINTR) continue;
		if (count < 0) return RESULT_DISK;
		if (count == 0) break;
		size += (size_t)count;
	}
	*ret_size = size;
	return RESULT_OK;
}

/* A control character is a second line, a Windows line end or a binary file: each would
 * otherwise show up as signatures that never match, with nothing to see in the file. */
static bool has_control_character(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < ' ' || text.data[i] == 0x7f) return true;
	}
	return false;
}

static enum result read_secret(int fd, struct secret **ret)
{
	uint8_t data[SECRET_SIZE_MAX + 2]; /* the newline, and one byte to notice "too long" */
	size_t size = 0;
	enum result result = read_all(fd, data, sizeof data, &size);

	if (result == RESULT_OK) {
		if (size > 0 && data[size - 1] == '\n') size--;
		struct bytes text = bytes_of(data, size);
		if (size > SECRET_SIZE_MAX)
			result = RESULT_FULL;
		else if (has_control_character(text))
			result = RESULT_MALFORMED;
		else
			result = secret_create(text, ret);
	}
	bytes_wipe(data, sizeof data);
	return result;
}

enum result secret_load_file(const char *path, struct secret **ret)
{
	/* Non-blocking, so that a pipe in the file's place cannot hang us; a regular file does
	 * not care. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) return open_failure(errno);

	enum result result = RESULT_PERMISSION;
	struct stat status;
	if (fstat(fd, &status) != 0)
		result = RESULT_DISK;
	else if (file_is_private(&status))
		result = read_secret(fd, ret);
	(void)close(fd); /* read only: nothing can be lost */
	return result;
}
