/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_access — who asks, and what that makes them: the kernel says which user and groups are
 * at the other end of a Unix socket, the configuration says which role they have.
 *
 * Users and groups are looked up once, when control starts: a lookup may ask a directory service,
 * and the control thread must not wait for one.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "control/control_internal.h"

/* A user in more groups than the kernel allows (NGROUPS_MAX) does not exist; one in more than
 * this is not looked at further. A large group with its member list must fit the lookup. */
enum { GROUPS_MAX = 1024, LOOKUP_SIZE = 256 * 1024 };

static enum result group_find(const char *name, gid_t *ret, char *memory)
{
	struct group group;
	struct group *found = NULL;
	if (getgrnam_r(name, &group, memory, LOOKUP_SIZE, &found) != 0 || found == NULL) {
		return RESULT_NOT_FOUND;
	}
	*ret = group.gr_gid;
	return RESULT_OK;
}

static bool is_member(const char *name, gid_t primary, gid_t wanted)
{
	gid_t groups[GROUPS_MAX];
	int count = GROUPS_MAX;
	if (getgrouplist(name, primary, groups, &count) < 0) return false;
	for (int i = 0; i < count; i++) {
		if (groups[i] == wanted) return true;
	}
	return false;
}

static void name_copy(const char *name, char to[static CONTROL_USER_NAME_SIZE])
{
	struct bytes text = bytes_of_text(name);
	if (text.size >= CONTROL_USER_NAME_SIZE) text.size = CONTROL_USER_NAME_SIZE - 1;
	bytes_to_text(text, to, CONTROL_USER_NAME_SIZE);
}

static enum result user_find(const char *name, enum control_role role,
	struct control_access *access, char *memory)
{
	struct passwd user;
	struct passwd *found = NULL;
	if (getpwnam_r(name, &user, memory, LOOKUP_SIZE, &found) != 0 || found == NULL) {
		return RESULT_NOT_FOUND;
	}
	struct control_user *added = &access->users[access->user_count++];
	*added = (struct control_user){ .uid = user.pw_uid, .role = role };
	name_copy(name, added->name);
	bool is_owner = user.pw_uid == 0 || user.pw_uid == access->own_uid;
	added->is_outside = !is_owner &&
		!(access->has_group && is_member(name, user.pw_gid, access->group));
	return RESULT_OK;
}

static enum result users_find(const char *const *names, uint32_t count, const char *key,
	enum control_role role, struct control_access *access, char *memory, char *error,
	size_t error_size)
{
	for (uint32_t i = 0; i < count; i++) {
		if (access->user_count == CONTROL_USERS_MAX) {
			snprintf(error, error_size, "control.%s: more than %u names in both lists",
				key, (unsigned)CONTROL_USERS_MAX);
			return RESULT_FULL;
		}
		if (user_find(names[i], role, access, memory) != RESULT_OK) {
			snprintf(error, error_size, "control.%s: there is no user \"%s\"", key,
				names[i]);
			return RESULT_NOT_FOUND;
		}
	}
	return RESULT_OK;
}

static void own_name_find(struct control_access *access, char *memory)
{
	struct passwd user;
	struct passwd *found = NULL;
	if (getpwuid_r(access->own_uid, &user, memory, LOOKUP_SIZE, &found) == 0 && found != NULL) {
		name_copy(user.pw_name, access->own_name);
	}
}

enum result control_access_load(const struct config *config, struct control_access *ret,
	char *error, size_t error_size)
{
	enum result result = RESULT_OK;
	char *memory = alloc_array(LOOKUP_SIZE, 1);
	*ret = (struct control_access){ .own_uid = geteuid() };

	if (config->control_group != NULL) {
		result = group_find(config->control_group, &ret->group, memory);
		if (result != RESULT_OK) {
			snprintf(error, error_size, "control.group: there is no group \"%s\"",
				config->control_group);
		}
		ret->has_group = true;
	}
	own_name_find(ret, memory);
	if (result == RESULT_OK) {
		result = users_find(config->control_admins, config->control_admin_count, "admins",
			CONTROL_ROLE_ADMIN, ret, memory, error, error_size);
	}
	if (result == RESULT_OK) {
		result = users_find(config->control_operators, config->control_operator_count,
			"operators", CONTROL_ROLE_OPERATE, ret, memory, error, error_size);
	}
	alloc_free(memory);
	return result;
}

enum control_role control_access_role(const struct control_access *access, uid_t uid,
	const gid_t *groups, size_t group_count)
{
	if (uid == 0 || uid == access->own_uid) return CONTROL_ROLE_ADMIN;
	for (uint32_t i = 0; i < access->user_count; i++) {
		if (access->users[i].uid == uid) return access->users[i].role;
	}
	for (size_t i = 0; access->has_group && i < group_count; i++) {
		if (groups[i] == access->group) return CONTROL_ROLE_READ;
	}
	return CONTROL_ROLE_NONE;
}

const char *control_access_name(const struct control_access *access, uid_t uid)
{
	if (uid == 0) return "root";
	if (uid == access->own_uid) return access->own_name;
	for (uint32_t i = 0; i < access->user_count; i++) {
		if (access->users[i].uid == uid) return access->users[i].name;
	}
	return "";
}

void control_peer_read(const struct control_access *access, int fd, struct control_peer *ret)
{
	struct ucred credentials;
	socklen_t size = sizeof credentials;
	*ret = (struct control_peer){ .role = CONTROL_ROLE_NONE, .uid = (uid_t)-1 };
	snprintf(ret->actor, sizeof ret->actor, "somebody unknown");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return;

	/* The primary group stands in the credentials, the others are asked for apart. */
	gid_t groups[GROUPS_MAX + 1] = { credentials.gid };
	size_t group_count = 1;
	size = GROUPS_MAX * sizeof(gid_t);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) == 0) {
		group_count += size / sizeof(gid_t);
	}
	ret->uid = credentials.uid;
	ret->pid = credentials.pid;
	ret->role = control_access_role(access, credentials.uid, groups, group_count);
	const char *name = control_access_name(access, credentials.uid);
	snprintf(ret->actor, sizeof ret->actor, "%s%suid %u pid %d", name, *name != '\0' ? " " : "",
		(unsigned)credentials.uid, (int)credentials.pid);
}
