/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_acl — lets the users whom the configuration names open the socket's file when neither
 * its owner nor its group does: entries of a POSIX access control list, acl(5), so that nobody
 * else can even connect.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cursor.h"
#include "control/control_internal.h"

/* linux/posix_acl_xattr.h, linux/posix_acl.h: version(4), then tag(2) permission(2) id(4) for each
 * entry, all little-endian, in the order of the tags and users by id. */
enum {
	ACL_VERSION = 2,
	ACL_USER_OBJ = 0x01,
	ACL_USER = 0x02,
	ACL_GROUP_OBJ = 0x04,
	ACL_MASK = 0x10,
	ACL_OTHER = 0x20,
	ACL_READ_WRITE = 6,
	ACL_ENTRY_SIZE = 8,
};
#define ACL_NO_ID UINT32_MAX

static void put_entry(struct writer *writer, uint16_t tag, uint16_t permission, uint32_t id)
{
	write_u16(writer, htole16(tag));
	write_u16(writer, htole16(permission));
	write_u32(writer, htole32(id));
}

/* The smallest id of a user outside that is not less than `from`; false: there is none. */
static bool next_outside(const struct control_access *access, uint64_t from, uid_t *ret)
{
	bool found = false;
	for (uint32_t i = 0; i < access->user_count; i++) {
		const struct control_user *user = &access->users[i];
		if (!user->is_outside || user->uid < from) continue;
		if (!found || user->uid < *ret) *ret = user->uid;
		found = true;
	}
	return found;
}

enum result control_acl_set(const struct control_access *access, const char *path, char *error,
	size_t error_size)
{
	uint8_t memory[4 + ACL_ENTRY_SIZE * (CONTROL_USERS_MAX + 4)];
	struct writer writer = writer_of(memory, sizeof memory);
	uid_t uid = 0;

	if (!next_outside(access, 0, &uid)) return RESULT_OK;
	write_u32(&writer, htole32(ACL_VERSION));
	put_entry(&writer, ACL_USER_OBJ, ACL_READ_WRITE, ACL_NO_ID);
	for (uint64_t from = 0; next_outside(access, from, &uid); from = (uint64_t)uid + 1) {
		put_entry(&writer, ACL_USER, ACL_READ_WRITE, uid);
	}
	put_entry(&writer, ACL_GROUP_OBJ, access->has_group ? ACL_READ_WRITE : 0, ACL_NO_ID);
	put_entry(&writer, ACL_MASK, ACL_READ_WRITE, ACL_NO_ID);
	put_entry(&writer, ACL_OTHER, 0, ACL_NO_ID);
	struct bytes list = writer_bytes(&writer);
	if (setxattr(path, "system.posix_acl_access", list.data, list.size, 0) == 0)
		return RESULT_OK;
	snprintf(error, error_size,
		"control socket %s: the users in control.admins and control.operators cannot be "
		"let in: %s; make them members of control.group",
		path, strerror(errno));
	return RESULT_PERMISSION;
}
