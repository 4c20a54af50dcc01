/* What the worker's loop asks of the kernel and of the CPU. Static inline, and marked so that the compiler's
   @_noLocks check accepts a call: none of them allocates or takes a lock of ours. */
#pragma once
#include <errno.h>
#include <linux/if_xdp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HS_HOT static inline __attribute__((swift_attr("@_noLocks")))

/* linux/if_xdp.h since 6.6; Debian 12's headers are older. */
#define HS_XDP_PKT_CONTD 1u

/* Touched, zeroed memory in whole pages, or NULL. */
static inline void *hs_map_area(size_t bytes)
{
    void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    return area == MAP_FAILED ? NULL : area;
}

/* Id of the calling thread in the kernel. */
static inline int hs_thread_id(void) { return (int)syscall(SYS_gettid); }

/* Makes the kernel send what is in a TX ring: 0, or an errno. */
HS_HOT int hs_kick(int socket)
{
    return sendto(socket, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? errno : 0;
}

/* Makes the kernel look at an empty fill ring again. */
HS_HOT void hs_wake_receive(int socket)
{
    (void)recvfrom(socket, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* CLOCK_MONOTONIC in ns: the clock of bpf_ktime_get_ns. It is never set back, as CLOCK_TAI can be. */
HS_HOT uint64_t hs_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

HS_HOT void hs_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

HS_HOT void hs_sleep(long nanoseconds)
{
    struct timespec time = {0, nanoseconds};

    nanosleep(&time, NULL);
}

/* Wakes whoever waits for this eventfd. */
HS_HOT void hs_ring(int bell)
{
    uint64_t one = 1;

    (void)!write(bell, &one, sizeof one);
}

/* Waits until a source has frames, or the host side rang; milliseconds at most. */
HS_HOT void hs_wait(int epoll, int milliseconds)
{
    struct epoll_event events[8];

    (void)epoll_wait(epoll, events, 8, milliseconds);
}
