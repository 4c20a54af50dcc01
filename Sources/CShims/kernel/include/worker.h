/* What the worker's loop asks of the kernel and of the CPU. Static inline, and marked so that the compiler's
   @_noLocks check accepts a call: none of them allocates or takes a lock of ours. */
#pragma once
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "live.h"
#include "record.h"

/* linux/if_xdp.h since 6.6; Debian 12's headers are older. */
#define HS_XDP_PKT_CONTD 1u

/* linux/virtio_net.h since 6.2. */
#define HS_VIRTIO_NET_HDR_GSO_UDP_L4 5

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

/* Sends a captured super-frame whole into the device that the packet socket is bound to: 0, or an errno. `headers` are
   the bytes that every segment repeats, `version` the IP version of a TCP frame, 0 for UDP. */
HS_HOT int hs_send_whole(int socket, struct hs_record record, const void *frame, uint16_t headers, uint8_t version,
                         uint32_t mark)
{
    struct virtio_net_hdr offload = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = version == 0   ? HS_VIRTIO_NET_HDR_GSO_UDP_L4
                    : version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
                                   : VIRTIO_NET_HDR_GSO_TCPV6,
        .hdr_len = headers,
        .gso_size = record.gso_size,
        .csum_start = record.csum_start,
        .csum_offset = record.csum_offset,
    };
    struct iovec parts[2] = {{&offload, sizeof offload}, {(void *)frame, record.captured}};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof mark)];
    } control = {.header = {CMSG_LEN(sizeof mark), SOL_SOCKET, SO_MARK}};
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control.bytes};

    if (record.gso_type & 1u << 2) /* SKB_GSO_TCP_ECN (linux/skbuff.h) */
        offload.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    __builtin_memcpy(CMSG_DATA(&control.header), &mark, sizeof mark);
    return sendmsg(socket, &message, MSG_DONTWAIT) < 0 ? errno : 0;
}

/* One message of hs_send_messages: struct mmsghdr (recvmmsg(2)). */
struct hs_message {
    struct msghdr header;
    unsigned sent;
};

/* What a message is made of: struct iovec (readv(2)). */
struct hs_part {
    const void *bytes;
    size_t length;
};

/* Makes a message of the first `count` parts. */
HS_HOT void hs_fill_message(struct hs_message *message, struct hs_part *parts, unsigned count)
{
    message->header.msg_iov = (struct iovec *)parts;
    message->header.msg_iovlen = count;
}

/* What stands in front of a packet for PACKET_VNET_HDR. With a size it is a super-frame of UDP: `size` bytes of each
   datagram's payload, behind `headers` bytes that they share, the last eight of which are UDP's. */
HS_HOT struct virtio_net_hdr hs_offload(uint16_t headers, uint16_t size)
{
    struct virtio_net_hdr offload = {0};

    if (size == 0) return offload;
    offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    offload.gso_type = HS_VIRTIO_NET_HDR_GSO_UDP_L4;
    offload.hdr_len = headers;
    offload.gso_size = size;
    offload.csum_start = (uint16_t)(headers - 8);
    offload.csum_offset = 6;
    return offload;
}

/* Sends messages through a socket, one after the other: how many the kernel took, or -errno if not even the first. */
HS_HOT int hs_send_messages(int socket, struct hs_message *messages, unsigned count)
{
    long taken = syscall(SYS_sendmmsg, socket, messages, count, MSG_DONTWAIT);

    return taken < 0 ? -errno : (int)taken;
}

/* Bytes of a queue of live.bpf.c. */
static inline size_t hs_live_size(void)
{
    return sizeof(struct hs_live_head) + HS_LIVE_ROOM;
}

/* Puts a copy into a queue of live.bpf.c, as its last: where the one behind it begins. */
HS_HOT unsigned hs_put_live(struct hs_live_head *queue, unsigned offset, const void *bytes, unsigned length)
{
    queue->copies[queue->end++ & (HS_LIVE_MOST - 1)] = (struct hs_live_copy){offset, length};
    memcpy((uint8_t *)(queue + 1) + offset, bytes, length);
    return (offset + length + HS_LIVE_LINE - 1) & ~(HS_LIVE_LINE - 1u);
}

/* Runs live.bpf.c for the copies of its queue: 0, or an errno. The queue says how many it had then. */
HS_HOT int hs_run_live(int program, struct hs_live_head *queue)
{
    static const uint8_t start[HS_LIVE_START];
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.test.prog_fd = (uint32_t)program;
    attributes.test.data_in = (uint64_t)(uintptr_t)start;
    attributes.test.data_size_in = sizeof start;
    attributes.test.repeat = (uint32_t)(queue->end - queue->next);
    attributes.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    /* More at once take more pages, each of which costs (docs/performance.md); 64 would use a veth's NAPI budget up, which then
       may be left to ksoftirqd while its ring fills. */
    attributes.test.batch_size = 48;
    return syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof attributes) < 0 ? errno : 0;
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
HS_HOT void hs_ring_bell(int bell)
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
