/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_load — from a file, or text, to a checked struct config. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/config_codes.h"
#include "config/config_internal.h"

static const struct config_position nowhere = { 0 };

static struct config *config_create(const char *path, struct bytes text)
{
	struct config_arena *arena = config_arena_create();
	struct config *config = config_arena_take(arena, 1, sizeof *config);

	config->arena = arena;
	config->path = config_arena_text(arena, path, strlen(path));
	config->text = config_arena_text(arena, (const char *)text.data, text.size);
	config->text_size = text.size;
	return config;
}

/* The text of *config into its fields, as far as the level wants it. */
static void parse_into(struct config *config, enum config_level level, struct config_report *report)
{
	struct config_arena *tree = config_arena_create();
	uint32_t errors_before = report->error_count;

	const struct config_node *root =
		config_yaml_parse(bytes_of(config->text, config->text_size), tree, report);
	if (root == NULL || config_node_is_null(root)) {
		if (report->error_count == errors_before) {
			config_report_add(report, CONFIG_ERROR, PS_NO_VALUE, nowhere,
				"begin with the example file, penstock.yaml.example",
				"the file holds no configuration");
		}
	} else {
		if (level >= CONFIG_LEVEL_SCHEMA) config_read(root, config, report);
		if (level >= CONFIG_LEVEL_MEANING) config_check(config, report);
	}
	config_arena_free(tree);
}

/* What is loaded, as what, and how far it is looked at. */
struct source {
	const char *path;
	const char *as;
	enum config_level level;
};

static enum result parse(const struct source *source, struct bytes text, struct config **ret,
	struct config_report *report)
{
	*ret = NULL;
	config_report_init(report, source->path);
	if (text.size > CONFIG_FILE_SIZE_MAX) {
		config_report_add(report, CONFIG_ERROR, PS_TOO_LARGE, nowhere, NULL,
			"the file has %zu bytes; the most allowed are %u", text.size,
			CONFIG_FILE_SIZE_MAX);
		return RESULT_CONFIG;
	}

	/* A byte order mark at the start is harmless, and no part of the first line. */
	if (bytes_starts_with(text, BYTES_LITERAL("\xEF\xBB\xBF"))) text = bytes_from(text, 3);
	struct config *config = config_create(source->as, text);
	config_report_borrow(report, config);
	parse_into(config, source->level, report);
	config_report_borrow(report, NULL); /* the text may go before the report does */

	if (report->error_count > 0) {
		config_free(config);
		return RESULT_CONFIG;
	}
	*ret = config;
	return RESULT_OK;
}

enum result config_parse(const char *path, struct bytes text, struct config **ret,
	struct config_report *report)
{
	const struct source source = { path, path, CONFIG_LEVEL_MEANING };
	return parse(&source, text, ret, report);
}

/* Reads a whole file into memory of alloc.h. */
static bool file_read(int fd, size_t size, uint8_t *to, size_t *ret_size)
{
	size_t at = 0;

	while (at < size) {
		ssize_t count = read(fd, to + at, size - at);
		if (count < 0 && errno == EINTR) continue;
		if (count < 0) return false;
		if (count == 0) break; /* it shrank */
		at += (size_t)count;
	}
	*ret_size = at;
	return true;
}

static void report_unreadable(struct config_report *report, const char *why, const char *hint)
{
	config_report_add(report, CONFIG_ERROR, PS_FILE_UNREADABLE, nowhere, hint,
		"the file cannot be read: %s", why);
}

/* An open regular file of acceptable size, or -1 with a report. */
static int file_open(const char *path, struct stat *ret_status, struct config_report *report)
{
	/* Non-blocking: a FIFO without a writer must not hang a start. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		report_unreadable(report, strerror(errno), NULL);
		return -1;
	}
	if (fstat(fd, ret_status) != 0 || !S_ISREG(ret_status->st_mode)) {
		report_unreadable(report, "it is not a regular file", NULL);
		close(fd);
		return -1;
	}
	if (ret_status->st_size > (off_t)CONFIG_FILE_SIZE_MAX) {
		config_report_add(report, CONFIG_ERROR, PS_TOO_LARGE, nowhere, NULL,
			"the file has %lld bytes; the most allowed are %u",
			(long long)ret_status->st_size, CONFIG_FILE_SIZE_MAX);
		close(fd);
		return -1;
	}
	return fd;
}

/* *ret is of alloc.h. */
static bool text_load(const char *path, struct bytes *ret, struct stat *ret_status,
	struct config_report *report)
{
	size_t size = 0;

	int fd = file_open(path, ret_status, report);
	if (fd < 0) return false;
	uint8_t *text = alloc_array((size_t)ret_status->st_size + 1, 1);
	bool complete = file_read(fd, (size_t)ret_status->st_size, text, &size);
	int error = errno;
	close(fd);
	*ret = bytes_of(text, size);
	if (complete) return true;
	report_unreadable(report, strerror(error), NULL);
	alloc_free(text);
	return false;
}

bool config_text_load(const char *path, struct bytes *ret, struct config_report *report)
{
	struct stat status;
	return text_load(path, ret, &status, report);
}

static enum result load(const struct source *source, struct config **ret,
	struct config_report *report)
{
	struct stat status;
	struct bytes text;

	*ret = NULL;
	config_report_init(report, source->path);
	if (!text_load(source->path, &text, &status, report)) return RESULT_CONFIG;
	enum result result = parse(source, text, ret, report);
	alloc_free((void *)(uintptr_t)text.data);

	if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		config_report_add(report, CONFIG_WARNING, PS_FILE_WRITABLE, nowhere,
			"chmod go-w repairs it", "others than its owner can change the file");
	}
	return result;
}

enum result config_load(const char *path, struct config **ret, struct config_report *report)
{
	return config_load_as(path, path, ret, report);
}

enum result config_load_as(const char *path, const char *as, struct config **ret,
	struct config_report *report)
{
	const struct source source = { path, as, CONFIG_LEVEL_MEANING };
	return load(&source, ret, report);
}

enum result config_load_level(const char *path, enum config_level level,
	struct config_report *report)
{
	const struct source source = { path, path, level };
	struct config *config = NULL;

	enum result result = load(&source, &config, report);
	config_free(config);
	return result;
}

void config_free(struct config *config)
{
	if (config != NULL) config_arena_free(config->arena);
}

struct config_position config_position_of(const struct config *config, const void *field,
	struct config_position otherwise)
{
	struct config_position position = config_arena_position(config->arena, field);
	return position.line > 0 ? position : otherwise;
}
