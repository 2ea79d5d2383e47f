/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor_files — who may read and change the configuration, secrets, keys and state.
 *
 * The daemon's user is taken to be the owner of the state, as far as there is any.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"
#include "secrets/secret.h"

struct looking {
	struct doctor *doctor;
	bool has_owner;
	uid_t owner; /* of the state */
	uint32_t looked;
	uint32_t good_secrets;
	uint32_t good_keys;
	uint32_t left_out; /* beyond DOCTOR_ITEMS_MAX */
};

static bool one_more(struct looking *looking)
{
	if (looking->looked < DOCTOR_ITEMS_MAX) {
		looking->looked++;
		return true;
	}
	looking->left_out++;
	return false;
}

/* Root may change everything anyway. */
static bool is_trusted(const struct looking *looking, uid_t uid)
{
	if (uid == 0 || uid == geteuid()) return true;
	return looking->has_owner && uid == looking->owner;
}

static void check_secret(struct looking *looking, const char *path)
{
	struct doctor *doctor = looking->doctor;
	struct secret *secret = NULL;
	struct stat status;
	if (path == NULL || !one_more(looking)) return;

	if (stat(path, &status) != 0) {
		doctor_add(doctor, errno == EACCES ? DOCTOR_WARN : DOCTOR_FAIL, "secret",
			errno == EACCES ? "ask as root or as the daemon's user"
					: "write the secret there, with mode 0600",
			"%s: %s", path, strerror(errno));
		return;
	}
	if ((status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
		doctor_add(doctor, DOCTOR_FAIL, "secret", NULL, "%s: others may read or change it",
			path);
		doctor_fix(doctor, "chmod 0600 %s; then have a new secret made", path);
		return;
	}
	if (!is_trusted(looking, status.st_uid)) {
		doctor_add(doctor, DOCTOR_WARN, "secret", NULL, "%s belongs to user %u", path,
			(unsigned)status.st_uid);
		doctor_fix(doctor, "chown it to root or to the daemon's user");
		return;
	}
	if (access(path, R_OK) != 0) {
		doctor_add(doctor, DOCTOR_WARN, "secret", "ask as root or as the daemon's user",
			"%s cannot be read by you: its form is not checked", path);
		return;
	}
	enum result result = secret_load_file(path, &secret);
	secret_free(secret);
	if (result == RESULT_OK) {
		looking->good_secrets++;
		return;
	}
	doctor_add(doctor, DOCTOR_FAIL, "secret",
		result == RESULT_PERMISSION ? "chmod 0600, and a regular file"
					    : "one line of text, without a carriage return",
		"%s: %s", path, result_text(result));
}

static void check_key(struct looking *looking, const char *path)
{
	struct stat status;
	/* Whether it can be read at all, its certificate says. */
	if (path == NULL || !one_more(looking) || stat(path, &status) != 0) return;
	if ((status.st_mode & (S_IROTH | S_IWOTH)) == 0) {
		looking->good_keys++;
		return;
	}
	doctor_add(looking->doctor, DOCTOR_WARN, "key", NULL, "%s: others may read or change it",
		path);
	doctor_fix(looking->doctor, "chmod 0600 %s; then have a new key made", path);
}

static void check_config(struct doctor *doctor, const char *path)
{
	struct stat status;
	if (stat(path, &status) != 0) return;
	bool good = (status.st_mode & S_IWOTH) == 0;
	doctor_add(doctor, good ? DOCTOR_OK : DOCTOR_FAIL, "configuration", NULL,
		good ? "%s: only those it belongs to may change it" : "%s: anybody may change it",
		path);
	if (!good) doctor_fix(doctor, "chmod o-w %s", path);
}

static void check_state(struct looking *looking, const char *path)
{
	struct stat status;
	if (stat(path, &status) != 0) return; /* doctor_store says so */
	looking->has_owner = true;
	looking->owner = status.st_uid;
	bool good = (status.st_mode & (S_IRWXO | S_IWGRP)) == 0;
	doctor_add(looking->doctor, good ? DOCTOR_OK : DOCTOR_FAIL, "state", NULL,
		"%s belongs to user %u, mode %04o%s", path, (unsigned)status.st_uid,
		(unsigned)status.st_mode & 07777,
		good ? "" : ": others may read payloads, or change them");
	if (!good) doctor_fix(looking->doctor, "chmod 0700 %s", path);
}

static void report(const struct looking *looking)
{
	if (looking->good_secrets + looking->good_keys > 0) {
		doctor_add(looking->doctor, DOCTOR_OK, "files", NULL,
			"%u secrets and %u keys are as they should be", looking->good_secrets,
			looking->good_keys);
	}
	if (looking->left_out > 0) {
		doctor_add(looking->doctor, DOCTOR_WARN, "files",
			"penstockctl config check FILE looks at all secrets",
			"%u secrets and keys were not looked at", looking->left_out);
	}
}

void doctor_files(struct doctor *doctor, const struct config *config)
{
	struct looking looking = { .doctor = doctor };
	check_config(doctor, config->path);
	check_state(&looking, config->store.path);
	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		check_secret(&looking, config->endpoints[i].secret_file);
		check_secret(&looking, config->endpoints[i].previous_secret_file);
	}
	for (uint32_t i = 0; i < config->target_count; i++) {
		check_secret(&looking, config->targets[i].secret_file);
		check_secret(&looking, config->targets[i].previous_secret_file);
		check_key(&looking, config->targets[i].client_key_file);
	}
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		for (uint32_t j = 0; j < listener->certificate_count; j++) {
			check_key(&looking, listener->certificates[j].key_file);
		}
	}
	report(&looking);
}
