/* The death of a process at one chosen write: loaded before libc (LD_PRELOAD), it counts what is done to the store's
 * files and kills the process by SIGKILL at the one numbered HELIOSTAT_KILL_AT; half a write is done before, so that it is
 * torn. Before: test_operations.py builds it. After: the process under test. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long seen;

static int is_store(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "/heliostat.db") != NULL;
}

/* Whether this is the one. */
static int is_due(int descriptor) {
    const char *at = getenv("HELIOSTAT_KILL_AT");
    if (!at || !is_store(descriptor)) return 0;
    return atomic_fetch_add(&seen, 1) + 1 == atol(at);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
    if (is_due(descriptor)) {
        NEXT(pwrite64)(descriptor, bytes, count / 2, offset);
        die();
    }
    return NEXT(pwrite64)(descriptor, bytes, count, offset);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    return pwrite64(descriptor, bytes, count, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    if (is_due(descriptor)) die();
    return NEXT(write)(descriptor, bytes, count);
}

int fsync(int descriptor) {
    if (is_due(descriptor)) die();
    return NEXT(fsync)(descriptor);
}

int fdatasync(int descriptor) {
    if (is_due(descriptor)) die();
    return NEXT(fdatasync)(descriptor);
}

int ftruncate64(int descriptor, off64_t length) {
    if (is_due(descriptor)) die();
    return NEXT(ftruncate64)(descriptor, length);
}

int ftruncate(int descriptor, off_t length) {
    if (is_due(descriptor)) die();
    return NEXT(ftruncate)(descriptor, length);
}
