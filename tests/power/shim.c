/* A disk that forgets what was not fsynced.
 *
 * Preloaded into the server, it copies a file of the folder POWER_FROM into the folder POWER_TO each
 * time the file is fsynced, before the call returns. POWER_TO therefore holds, at any moment, what a
 * disk would have kept if the power had failed: everything that was fsynced, nothing that was only
 * written. POWER_LIE=1 makes it a disk that says yes and keeps nothing, to show that the test would
 * notice. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void copy(int from, const char *to) {
    static char buffer[1 << 20];
    char part[PATH_MAX + 8];
    snprintf(part, sizeof part, "%s.part", to);
    int out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (out < 0) abort();
    off_t at = 0;
    for (ssize_t got; (got = pread(from, buffer, sizeof buffer, at)) > 0; at += got)
        if (write(out, buffer, got) != got) abort();
    close(out);
    /* The reader of POWER_TO sees a copy whole or not at all. */
    if (rename(part, to) != 0) abort();
}

/* An fsynced folder has forgotten the files that were removed from it. */
static void forget_removed(const char *from, const char *to) {
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *kept = opendir(to);
    if (!kept) return;
    while ((entry = readdir(kept))) {
        if (entry->d_name[0] == '.') continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", from, entry->d_name) >= sizeof path) abort();
        if (access(path, F_OK) == 0) continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", to, entry->d_name) >= sizeof path) abort();
        unlink(path);
    }
    closedir(kept);
}

static void remember(int file) {
    const char *from = getenv("POWER_FROM"), *to = getenv("POWER_TO"), *lie = getenv("POWER_LIE");
    char link[64], path[PATH_MAX], target[PATH_MAX];
    struct stat status;
    if (!from || !to || (lie && *lie == '1')) return;
    if (fstat(file, &status) != 0 || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = 0;
    if (strncmp(path, from, strlen(from)) != 0) return;
    if (S_ISDIR(status.st_mode)) {
        pthread_mutex_lock(&one_at_a_time);
        forget_removed(from, to);
        pthread_mutex_unlock(&one_at_a_time);
        return;
    }
    const char *name = strrchr(path, '/');
    if ((size_t)snprintf(target, sizeof target, "%s%s", to, name) >= sizeof target) abort();
    /* The descriptor may be open for writing only. */
    int readable = open(link, O_RDONLY);
    if (readable < 0) return;
    pthread_mutex_lock(&one_at_a_time);
    copy(readable, target);
    pthread_mutex_unlock(&one_at_a_time);
    close(readable);
}

int fsync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int done = real(file);
    if (done == 0) remember(file);
    return done;
}

int fdatasync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int done = real(file);
    if (done == 0) remember(file);
    return done;
}
