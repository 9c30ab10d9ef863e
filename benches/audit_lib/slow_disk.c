/* A disk that takes its time: loaded before the C library, it lengthens every fdatasync(2), with which
 * Postgres makes its log durable, by COMMIT_TAKES_US microseconds. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char *longer = getenv("COMMIT_TAKES_US");
    int result = real(file);
    int error = errno;
    if (longer != NULL)
        usleep((useconds_t)atoi(longer));
    errno = error;
    return result;
}
