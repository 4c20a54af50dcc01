/* dpdk EAL-OPTIONS -- UPLINK-MAC NEXT-HOP-MAC VNI: the usual DPDK mirror. One polling core takes bursts from port 0,
   sends them on by port 1, and a copy of each with VXLAN in front by port 2; what a full queue does not take is freed.
   Ports are made by --vdev, in this order. */
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

enum { BURST = 32, RING = 2048, BUFFERS = 32767 };

static volatile sig_atomic_t stop;
static struct outer header;
static __u32 header_sum;

static void end(int signal)
{
    (void)signal;
    stop = 1;
}

static void read_mac(const char *text, __u8 *mac)
{
    if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6)
        rte_exit(1, "%s is no MAC address\n", text);
}

static void make_header(char **argv)
{
    const __u8 *byte = (const __u8 *)&header.ip;

    read_mac(argv[1], header.ethernet.source);
    read_mac(argv[2], header.ethernet.destination);
    header.ethernet.type = __builtin_bswap16(0x0800);
    header.ip = (struct ipv4){.version = 0x45, .ttl = 64, .protocol = 17, .fragment = __builtin_bswap16(0x4000)};
    header.ip.source = __builtin_bswap32(0xc0000201);
    header.ip.destination = __builtin_bswap32(0xc0000209);
    header.udp.destination = __builtin_bswap16(VXLAN_PORT);
    header.vxlan.flags = __builtin_bswap32(0x08000000);
    header.vxlan.vni = __builtin_bswap32(atoi(argv[3]) << 8);
    for (int at = 0; at < 20; at += 2)
        header_sum += byte[at] | byte[at + 1] << 8;
}

static void open_port(__u16 port, struct rte_mempool *pool)
{
    struct rte_eth_conf none = {0};

    if (rte_eth_dev_configure(port, 1, 1, &none) || rte_eth_rx_queue_setup(port, 0, RING, 0, 0, pool)
        || rte_eth_tx_queue_setup(port, 0, RING, 0, 0) || rte_eth_dev_start(port))
        rte_exit(1, "port %u cannot be started\n", port);
    rte_eth_promiscuous_enable(port);
}

/* The copy with its outer header, or nothing. */
static struct rte_mbuf *encapsulate(const struct rte_mbuf *original, struct rte_mempool *pool)
{
    struct rte_mbuf *copy = rte_pktmbuf_alloc(pool);
    const struct frame *frame = rte_pktmbuf_mtod(original, const struct frame *);
    __u32 length = original->data_len, hash, sum;

    if (!copy)
        return 0;
    struct outer *outer = (struct outer *)rte_pktmbuf_append(copy, sizeof *outer + length);

    if (!outer) {
        rte_pktmbuf_free(copy);
        return 0;
    }
    *outer = header;
    memcpy(outer + 1, frame, length);
    hash = (frame->ip.source ^ frame->ip.destination ^ (__u32)(frame->udp.source ^ frame->udp.destination) << 7) * 0x9e3779b1;
    outer->ip.length = __builtin_bswap16(length + 36);
    sum = header_sum + outer->ip.length;
    sum = (sum & 0xffff) + (sum >> 16);
    outer->ip.checksum = ~(sum + (sum >> 16));
    outer->udp.length = __builtin_bswap16(length + 16);
    outer->udp.source = __builtin_bswap16(49152 + ((hash ^ hash >> 15) & 16383));
    return copy;
}

static void send_all(__u16 port, struct rte_mbuf **frames, __u16 count)
{
    __u16 sent = rte_eth_tx_burst(port, 0, frames, count);

    rte_pktmbuf_free_bulk(frames + sent, count - sent);
}

int main(int argc, char **argv)
{
    struct rte_mbuf *originals[BURST], *copies[BURST];
    int used = rte_eal_init(argc, argv);

    if (used < 0 || argc - used != 4)
        rte_exit(1, "dpdk EAL-OPTIONS -- UPLINK-MAC NEXT-HOP-MAC VNI\n");
    make_header(argv + used);
    if (rte_eth_dev_count_avail() != 3)
        rte_exit(1, "%u ports instead of 3\n", rte_eth_dev_count_avail());
    struct rte_mempool *pool = rte_pktmbuf_pool_create("frames", BUFFERS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);

    if (!pool)
        rte_exit(1, "no memory for frames\n");
    for (__u16 port = 0; port < 3; port++)
        open_port(port, pool);
    signal(SIGTERM, end);
    printf("ready\n");
    fflush(stdout);
    while (!stop) {
        __u16 count = rte_eth_rx_burst(0, 0, originals, BURST), made = 0;

        if (count == 0)
            continue;
        for (__u16 i = 0; i < count; i++) {
            copies[made] = encapsulate(originals[i], pool);
            made += copies[made] != 0;
        }
        send_all(1, originals, count);
        send_all(2, copies, made);
    }
    for (__u16 port = 0; port < 3; port++) {
        rte_eth_dev_stop(port);
        rte_eth_dev_close(port);
    }
    return 0;
}
