/* Descriptors: born O_CLOEXEC, owned by one variable, handed over visibly. */
#ifndef SL_CORE_FD_H
#define SL_CORE_FD_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static inline void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline void free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

#define cleanup_fd   __attribute__((cleanup(fd_close)))
#define cleanup_free __attribute__((cleanup(free_pointer)))

/* One descriptor over a unix socket, with data, at least a byte: unix(7), SCM_RIGHTS. Both are async-signal-safe and restart
 * on EINTR. fd_recv says how many bytes came, 0 at end of file; *fd has O_CLOEXEC set, and is -1 where none came along, or
 * there was no room for it. */
int fd_send(int socket, const void *data, size_t size, int fd);
ssize_t fd_recv(int socket, void *data, size_t size, int flags, int *fd);

/* All bytes or an error; -EPIPE when the other end is gone. */
int fd_write_all(int fd, const void *data, size_t size);
int fd_read_all(int fd, void *data, size_t size);

/* qsort(3) may call malloc, which a fork must not. */
void fd_sort(int *fds, size_t count);

/* Close every descriptor except those listed, which must be sorted and unique. */
int fd_close_except(const int *keep, size_t count);

#endif
