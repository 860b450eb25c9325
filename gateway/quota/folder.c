/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c - making and locking folders.      Runs on: start-up. */

#include "quota/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool make_one(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

enum status folder_make(const char *path, struct text_out *error)
{
    char part[PATH_MAX];
    int len = snprintf(part, sizeof(part), "%s", path);

    if (len <= 0 || (size_t)len >= sizeof(part)) {
        text_out_printf(error, "cannot make %s: the path is empty or too long", path);
        return ST_UNAVAILABLE;
    }
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)make_one(part); /* a folder above that cannot be made shows at the last one */
        *slash = '/';
    }

    struct stat stat_of;

    if (!make_one(part) || stat(part, &stat_of) != 0) {
        text_out_printf(error, "cannot make %s: %s", path, strerror(errno));
        return ST_UNAVAILABLE;
    }
    if (!S_ISDIR(stat_of.st_mode) || access(part, R_OK | W_OK | X_OK) != 0) {
        text_out_printf(error, "cannot use %s: it is no folder that can be written", path);
        return ST_UNAVAILABLE;
    }
    return ST_OK;
}

enum status folder_lock(const char *path, struct text_out *error, int *out_fd)
{
    char file[PATH_MAX];
    int len = snprintf(file, sizeof(file), "%s/lock", path);

    if (len < 0 || (size_t)len >= sizeof(file)) {
        text_out_printf(error, "cannot lock %s: the path is too long", path);
        return ST_UNAVAILABLE;
    }

    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) {
        text_out_printf(error, "cannot lock %s: %s", path, strerror(errno));
        return ST_UNAVAILABLE;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        text_out_printf(error, "%s is in use by another process (it holds %s)", path, file);
        close(fd);
        return ST_REFUSED;
    }
    *out_fd = fd;
    return ST_OK;
}
