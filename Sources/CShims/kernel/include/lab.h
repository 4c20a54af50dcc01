/* What the lab's packet sockets, child processes and BPF programs need and Swift cannot say: ancillary data of recvmmsg,
   and system calls that glibc declares only under _GNU_SOURCE. Used by Sources/Lab; nothing of the dataplane includes
   this. */
#pragma once
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Moves the calling thread into the network namespace behind `fd`. */
static inline int lab_enter_network_namespace(int fd) { return (int)syscall(SYS_setns, fd, 0x40000000); }

/* Lets the calling thread run on the CPUs of `mask` only (bit 0 is CPU 0). */
static inline int lab_run_on_cpus(uint64_t mask)
{
    return (int)syscall(SYS_sched_setaffinity, 0, sizeof mask, &mask);
}

/* Wakes the calling thread within `ns` of the time it asked for; the default of 50,000 is too coarse for pacing. */
static inline void lab_set_timer_slack(unsigned long ns) { syscall(SYS_prctl, 29 /* PR_SET_TIMERSLACK */, ns, 0, 0, 0); }

/* bpf(2). The attribute is laid out by who calls: the headers that are installed may be older than the kernel. */
static inline int lab_bpf(int command, void *attribute, unsigned size)
{
    return (int)syscall(SYS_bpf, command, attribute, size);
}

/* A nameless file in memory, closed on exec. */
static inline int lab_memory_file(const char *name) { return (int)syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */); }

/* A packet socket on interface `index`: for sending when `receive_buffer` is 0, else for receiving every incoming frame. */
static inline int lab_packet_socket(unsigned index, int receive_buffer)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0) return -1;
    if (receive_buffer) {
        setsockopt(fd, SOL_SOCKET, 33 /* SO_RCVBUFFORCE */, &receive_buffer, sizeof receive_buffer);
        setsockopt(fd, SOL_SOCKET, 35 /* SO_TIMESTAMPNS */, &one, sizeof one);
        if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one)) goto fail;
        if (setsockopt(fd, SOL_PACKET, 23 /* PACKET_IGNORE_OUTGOING */, &one, sizeof one)) goto fail;
    }
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)index};
    if (receive_buffer) address.sll_protocol = __builtin_bswap16(ETH_P_ALL);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
fail:;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* One received frame: its length on the wire without the tag, and what the kernel keeps beside it. */
struct lab_received {
    uint32_t length;
    uint64_t nanoseconds; /* CLOCK_REALTIME, taken by the kernel */
    uint16_t tag_protocol, tag; /* the outermost VLAN tag, which the kernel took out; protocol 0 when there is none */
    uint8_t checksum_partial; /* the sender's checksum was left to the hardware */
};

#define LAB_BATCH 32

/* Receives up to LAB_BATCH frames that are there, the i-th at base + i * stride; returns their number or -1. */
static inline int lab_receive(int fd, uint8_t *base, size_t stride, struct lab_received *out)
{
    struct { struct msghdr header; unsigned length; } messages[LAB_BATCH];
    struct iovec vectors[LAB_BATCH];
    union { struct cmsghdr align; uint8_t bytes[128]; } control[LAB_BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < LAB_BATCH; i++) {
        vectors[i] = (struct iovec){base + (size_t)i * stride, stride};
        messages[i].header.msg_iov = &vectors[i];
        messages[i].header.msg_iovlen = 1;
        messages[i].header.msg_control = control[i].bytes;
        messages[i].header.msg_controllen = sizeof control[i].bytes;
    }
    int count = (int)syscall(SYS_recvmmsg, fd, messages, LAB_BATCH, MSG_DONTWAIT | MSG_TRUNC, (void *)0);
    for (int i = 0; i < count; i++) {
        out[i] = (struct lab_received){.length = messages[i].length};
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&messages[i].header); c; c = CMSG_NXTHDR(&messages[i].header, c)) {
            if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
                struct tpacket_auxdata data;
                memcpy(&data, CMSG_DATA(c), sizeof data);
                out[i].length = data.tp_len;
                if (data.tp_status & TP_STATUS_VLAN_VALID) {
                    out[i].tag = data.tp_vlan_tci;
                    out[i].tag_protocol = (data.tp_status & TP_STATUS_VLAN_TPID_VALID) ? data.tp_vlan_tpid : ETH_P_8021Q;
                }
                out[i].checksum_partial = (data.tp_status & TP_STATUS_CSUMNOTREADY) != 0;
            } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == 35 /* SCM_TIMESTAMPNS */) {
                struct timespec time;
                memcpy(&time, CMSG_DATA(c), sizeof time);
                out[i].nanoseconds = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
            }
        }
    }
    return count;
}

/* Frames that a packet socket has seen and those it had no room for, since the last call. */
static inline int lab_packet_statistics(int fd, uint32_t *seen, uint32_t *dropped)
{
    struct tpacket_stats stats = {0};
    socklen_t length = sizeof stats;
    int result = getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &length);
    *seen = stats.tp_packets;
    *dropped = stats.tp_drops;
    return result;
}
