/* The kernel's interface as the cold side of the dataplane uses it (Sources/FastPath/Host): headers that the Glibc
   module lacks, and constants that are newer than the headers of Debian 12. No logic. */
#pragma once
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    /* linux/bpf.h since 6.6: the attach types of tcx, and the place in front of everybody else's programs. */
    HS_TCX_INGRESS = 46,
    HS_TCX_EGRESS = 47,
    HS_BPF_F_BEFORE = 1 << 3,
    /* linux/bpf.h: flags of maps whose values programs only read. */
    HS_BPF_F_RDONLY_PROG = 1 << 7,
    HS_BPF_F_MMAPABLE = 1 << 10,
    /* linux/bpf.h since 5.18: an XDP program that takes frames of several buffers. */
    HS_BPF_F_XDP_HAS_FRAGS = 1 << 5,
    /* linux/bpf.h since 6.3: an XDP program that may call one driver's functions. */
    HS_BPF_F_XDP_DEV_BOUND_ONLY = 1 << 6,
    /* linux/if_xdp.h since 6.6: frames of several chunks. */
    HS_XDP_USE_SG = 1 << 4,
    /* linux/if_link.h: attach in the driver, never in the generic path; a loopback has that alone. */
    HS_XDP_FLAGS_DRV_MODE = 1 << 2,
    HS_XDP_FLAGS_SKB_MODE = 1 << 1,
    /* linux/if.h, which cannot be included beside net/if.h. */
    HS_IFF_UP = 1 << 0,
    HS_IFF_LOOPBACK = 1 << 3,
    HS_IFF_NOARP = 1 << 7,
    HS_IFF_LOWER_UP = 1 << 16,
    /* linux/if_arp.h */
    HS_ARPHRD_ETHER = 1,
    /* linux/veth.h */
    HS_VETH_INFO_PEER = 1,
    /* bits/socket.h, asm-generic/socket.h */
    HS_AF_XDP = 44,
    HS_SOL_XDP = 283,
    HS_SO_SNDBUFFORCE = 32,
    HS_SO_RCVBUFFORCE = 33,
    HS_SO_MARK = 36,
    HS_SO_BUSY_POLL = 46,
    HS_SO_PREFER_BUSY_POLL = 69,
    HS_SO_BUSY_POLL_BUDGET = 70,
    HS_SO_PEERCRED = 17,
    HS_SO_PEERGROUPS = 59,
    /* linux/sched.h, linux/nsfs.h: _IO(0xb7, 3) */
    HS_CLONE_NEWNET = 0x40000000,
    HS_NS_GET_NSTYPE = 0xb703,
    /* linux/mman.h, asm-generic/mman-common.h; the last since 5.14. */
    HS_MAP_ANONYMOUS = 0x20,
    HS_MAP_HUGETLB = 0x40000,
    HS_MADV_HUGEPAGE = 14,
    HS_MADV_POPULATE_WRITE = 23,
    /* linux/sched.h */
    HS_SCHED_FIFO = 1,
    /* CPUs and NUMA nodes that are told apart. */
    HS_MOST_CPUS = 8192,
    HS_MOST_NODES = 1024,
    /* linux/capability.h */
    HS_CAP_NET_ADMIN = 12,
    HS_CAP_NET_RAW = 13,
    HS_CAP_IPC_LOCK = 14,
    HS_CAP_SYS_ADMIN = 21,
    HS_CAP_PERFMON = 38,
    HS_CAP_BPF = 39,
};

/* Page offsets of an AF_XDP socket's rings: 64-bit constants, which do not import. */
static const unsigned long long hs_xdp_fill_offset = XDP_UMEM_PGOFF_FILL_RING;
static const unsigned long long hs_xdp_completion_offset = XDP_UMEM_PGOFF_COMPLETION_RING;
static const unsigned long long hs_xdp_receive_offset = XDP_PGOFF_RX_RING;
static const unsigned long long hs_xdp_transmit_offset = XDP_PGOFF_TX_RING;

/* Only declared with _GNU_SOURCE, which the importer does not define. */
int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);
int pthread_setname_np(pthread_t thread, const char *name);
int unshare(int flags);
int setns(int descriptor, int type);

/* Sends `signal` to this process when its parent ends; 0 for none. */
static inline int hs_signal_at_parents_end(int signal) { return prctl(PR_SET_PDEATHSIG, (unsigned long)signal); }

/* linux/magic.h: BPF_FS_MAGIC. */
static inline int hs_is_bpf_file_system(const char *path)
{
    struct statfs information;

    return statfs(path, &information) == 0 && (unsigned)information.f_type == 0xcafe4a11u;
}

/* An interface takes frames for any address as long as this AF_PACKET socket is open (packet(7)): -1 with errno. */
static inline int hs_make_promiscuous(int socket, int interface)
{
    struct packet_mreq request = {.mr_ifindex = interface, .mr_type = PACKET_MR_PROMISC};

    return setsockopt(socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request);
}

/* Touches every page of an area; tells by -1 with errno what a touch would tell by a signal. */
static inline int hs_populate(void *area, size_t bytes) { return madvise(area, bytes, HS_MADV_POPULATE_WRITE); }

/* mbind(2) with MPOL_PREFERRED (1), for pages that are not touched yet: -1 with errno. The kernel takes one bit less than
   it is told. */
static inline int hs_prefer_node(void *area, size_t bytes, int node)
{
    unsigned long nodes[HS_MOST_NODES / 64] = {0};

    if (node < 0 || node >= HS_MOST_NODES) {
        errno = EINVAL;
        return -1;
    }
    nodes[node / 64] = 1ul << node % 64;
    return (int)syscall(SYS_mbind, area, bytes, 1, nodes, HS_MOST_NODES + 1ul, 0);
}

/* get_mempolicy(2) with MPOL_F_NODE | MPOL_F_ADDR: the node of a touched page, or -1. */
static inline int hs_node_of(const void *address)
{
    int node = -1;

    return syscall(SYS_get_mempolicy, &node, NULL, 0ul, address, 1ul | 2ul) ? -1 : node;
}

/* Lets a thread run on `count` CPUs only: -1 with errno. */
static inline int hs_run_on(int thread, const int *cpus, int count)
{
    unsigned long mask[HS_MOST_CPUS / 64] = {0};

    for (int i = 0; i < count; i++) {
        if (cpus[i] >= 0 && cpus[i] < HS_MOST_CPUS)
            mask[cpus[i] / 64] |= 1ul << cpus[i] % 64;
    }
    return (int)syscall(SYS_sched_setaffinity, thread, sizeof mask, mask);
}

static inline int hs_is_real_time(int thread) { return syscall(SYS_sched_getscheduler, thread) == HS_SCHED_FIFO; }

/* Puts a thread before all others of its CPU, at the lowest real-time priority: -1 with errno. */
static inline int hs_make_real_time(int thread)
{
    int priority = 1; /* struct sched_param */

    return (int)syscall(SYS_sched_setscheduler, thread, HS_SCHED_FIFO, &priority);
}
