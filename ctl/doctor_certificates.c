/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor_certificates — the certificates that listeners show to providers, and those that we show
 * to targets: dates, chain, and whether the key is theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "certificate_chain.h"
#include "doctor.h"
#include "tls/tls.h"

enum {
	PEM_SIZE_MAX = 1024 * 1024,
	EXPIRES_SOON_DAYS = 21,
	S_PER_DAY = 86400,
};

/* NULL with errno; release with pem_free(). */
static uint8_t *pem_read(const char *path, size_t *ret_size)
{
	struct stat status;
	uint8_t *data = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) return NULL;
	errno = EFBIG;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= PEM_SIZE_MAX) {
		data = alloc_array((size_t)status.st_size + 1, 1);
		ssize_t size = read(fd, data, (size_t)status.st_size);
		*ret_size = size > 0 ? (size_t)size : 0;
	}
	close(fd);
	return data;
}

static void pem_free(uint8_t *data, size_t size)
{
	/* It may have been a private key. */
	if (data != NULL) bytes_wipe(data, size);
	alloc_free(data);
}

/* ---- Dates and chain ------------------------------------------------------------------------- */

static void check_dates(struct doctor *doctor, const char *path, const struct chain *chain)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t first_s = INT64_MAX;
	bool early = false;
	for (unsigned i = 0; i < chain->count; i++) {
		const struct chain_certificate *one = &chain->certificates[i];
		if ((int64_t)one->not_after_s < first_s) first_s = (int64_t)one->not_after_s;
		early = early || (int64_t)one->not_before_s > now.tv_sec;
	}
	int64_t left_s = first_s - now.tv_sec;
	long long days = left_s / S_PER_DAY;
	if (early) {
		doctor_add(doctor, DOCTOR_FAIL, "certificate", "wait, or set the clock right",
			"%s: not valid yet", path);
	} else if (left_s <= 0) {
		doctor_add(doctor, DOCTOR_FAIL, "certificate", "renew it, then penstockctl reload",
			"%s: expired %lld days ago", path, -days);
	} else if (days < EXPIRES_SOON_DAYS) {
		doctor_add(doctor, DOCTOR_WARN, "certificate", "renew it, then penstockctl reload",
			"%s: expires in %lld days", path, days);
	} else {
		doctor_add(doctor, DOCTOR_OK, "certificate", NULL, "%s: valid for %lld days more",
			path, days);
	}
}

static void check_order(struct doctor *doctor, const char *path, const struct chain *chain)
{
	if (!chain_is_in_order(chain)) {
		doctor_add(doctor, DOCTOR_FAIL, "certificate",
			"put the leaf first, and behind each certificate the one that issued it",
			"%s: its %u certificates are not in order", path, chain->count);
	} else if (chain->count == 1 && !chain_ends_in_root(chain)) {
		doctor_add(doctor, DOCTOR_WARN, "certificate",
			"put the intermediate certificates behind it (\"fullchain\"); right as "
			"it is when clients trust its issuer itself",
			"%s: nothing but the leaf", path);
	}
}

/* ---- Key ------------------------------------------------------------------------------------- */

static void check_key(struct doctor *doctor, const char *path, struct bytes pem,
	const char *key_path)
{
	size_t key_size = 0;
	char error[256];
	struct tls_context *context = NULL;
	uint8_t *key = pem_read(key_path, &key_size);
	if (key == NULL) {
		bool forbidden = errno == EACCES;
		doctor_add(doctor, forbidden ? DOCTOR_WARN : DOCTOR_FAIL, "key",
			forbidden ? "ask as root or as the daemon's user" : "check the path",
			"%s: %s", key_path, strerror(errno));
		return;
	}
	struct tls_certificate certificate = { .chain_pem = pem,
		.key_pem = bytes_of(key, key_size) };
	struct tls_server_config config = { .certificates = &certificate, .certificate_count = 1 };
	enum result result = tls_server_context_create(&config, &context, error, sizeof error);
	pem_free(key, key_size);
	if (result == RESULT_OK) {
		tls_context_release(context);
		return;
	}
	doctor_add(doctor, DOCTOR_FAIL, "key", "have both from one place, and try again",
		"%s with %s: %s", path, key_path, error);
}

static void check_pair(struct doctor *doctor, const char *path, const char *key_path)
{
	size_t size = 0;
	struct chain chain = { 0 };
	uint8_t *data = pem_read(path, &size);
	if (data == NULL) {
		bool forbidden = errno == EACCES;
		doctor_add(doctor, forbidden ? DOCTOR_WARN : DOCTOR_FAIL, "certificate",
			forbidden ? "ask as root or as the daemon's user" : "check the path",
			"%s: %s", path, strerror(errno));
		return;
	}
	struct bytes pem = bytes_of(data, size);
	if (chain_parse(pem, &chain) == RESULT_OK) {
		check_dates(doctor, path, &chain);
		check_order(doctor, path, &chain);
		if (key_path != NULL) check_key(doctor, path, pem, key_path);
	} else {
		doctor_add(doctor, DOCTOR_FAIL, "certificate",
			"PEM, the leaf first, 16 certificates at most",
			"%s: this is no chain of certificates", path);
	}
	chain_free(&chain);
	pem_free(data, size);
}

void doctor_certificates(struct doctor *doctor, const struct config *config)
{
	uint32_t looked = 0;
	uint32_t left_out = 0;
	if (tls_library_open() != RESULT_OK) {
		doctor_add(doctor, DOCTOR_FAIL, "certificate", "reinstall Penstock",
			"the TLS library does not start");
		return;
	}
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		for (uint32_t j = 0; j < listener->certificate_count; j++) {
			if (looked++ >= DOCTOR_ITEMS_MAX) {
				left_out++;
				continue;
			}
			check_pair(doctor, listener->certificates[j].certificate_file,
				listener->certificates[j].key_file);
		}
	}
	for (uint32_t i = 0; i < config->target_count; i++) {
		const struct config_target *target = &config->targets[i];
		if (target->client_certificate_file == NULL) continue;
		if (looked++ >= DOCTOR_ITEMS_MAX) {
			left_out++;
			continue;
		}
		check_pair(doctor, target->client_certificate_file, target->client_key_file);
	}
	tls_library_close();
	if (left_out == 0) return;
	doctor_add(doctor, DOCTOR_WARN, "certificate", "the daemon looks at all when it starts",
		"%u certificates were not looked at", left_out);
}
