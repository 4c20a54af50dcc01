/* zerocopy OBJECT PORT QUEUES UPLINK UPLINK-MAC NEXT-HOP-MAC VNI: Heliostat's `span` by hand in C, without what a product
   needs: frames of all queues of PORT arrive by AF_XDP, the VXLAN header is written in front of them, and the same chunk
   leaves by an AF_XDP socket of UPLINK. Both without copying, or it gives up. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include "attach.h"

enum { CHUNK = 4096, HEADROOM = 64, FILLED = 1024, RING = 2048, BATCH = 64, XDP_HOOK = 37 /* BPF_XDP */ };

struct queue {
    struct xsk_umem *umem;
    struct xsk_socket *xsk;
    struct xsk_ring_cons rx, unused;
    struct xsk_ring_prod fill;
};

static volatile sig_atomic_t stop;
static __u8 *area;
static struct queue queues[BENCH_CPUS];
static struct xsk_socket *uplink;
static struct xsk_ring_prod tx, no_fill;
static struct xsk_ring_cons completion;
static struct outer header;
static __u32 header_sum;

static void end(int signal)
{
    (void)signal;
    stop = 1;
}

static void open_socket(
    struct xsk_umem *umem, struct xsk_socket **xsk, const char *device, __u32 queue, struct xsk_ring_cons *rx,
    struct xsk_ring_prod *out)
{
    struct xsk_socket_config config = {
        .rx_size = RING, .tx_size = RING, .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
        .bind_flags = XDP_ZEROCOPY | XDP_USE_NEED_WAKEUP};
    int error = xsk_socket__create(xsk, device, queue, umem, rx, out, &config);

    if (error) {
        errno = -error;
        give_up("bind without copying");
    }
}

static struct xsk_umem *open_umem(__u64 chunks, struct xsk_ring_prod *fill, struct xsk_ring_cons *done)
{
    struct xsk_umem_config config = {
        .fill_size = RING, .comp_size = RING, .frame_size = CHUNK, .frame_headroom = HEADROOM};
    struct xsk_umem *umem;
    int error = xsk_umem__create(&umem, area, chunks * CHUNK, fill, done, &config);

    if (error) {
        errno = -error;
        give_up("register memory");
    }
    return umem;
}

static void give(struct queue *queue, __u64 chunk)
{
    __u32 at;

    if (xsk_ring_prod__reserve(&queue->fill, 1, &at) != 1)
        return;
    *xsk_ring_prod__fill_addr(&queue->fill, at) = chunk;
    xsk_ring_prod__submit(&queue->fill, 1);
}

/* Chunks that have left go back to the queue that they came from: each has its own. */
static void reclaim(void)
{
    __u32 at, count = xsk_ring_cons__peek(&completion, RING, &at);

    for (__u32 i = 0; i < count; i++) {
        __u64 chunk = *xsk_ring_cons__comp_addr(&completion, at + i) / CHUNK;

        give(&queues[chunk / FILLED], chunk * CHUNK);
    }
    xsk_ring_cons__release(&completion, count);
}

static void forward(const struct xdp_desc *frame, struct xdp_desc *out)
{
    struct outer *outer = (struct outer *)(area + frame->addr) - 1;

    encapsulate(outer, &header, header_sum, (const void *)(outer + 1), frame->len);
    *out = (struct xdp_desc){.addr = frame->addr - sizeof *outer, .len = frame->len + sizeof *outer};
}

/* A batch of one queue; how many there were. */
static __u32 serve(struct queue *queue)
{
    __u32 from, at = 0, count = xsk_ring_cons__peek(&queue->rx, BATCH, &from);
    __u32 room = count ? xsk_prod_nb_free(&tx, count) : 0, sent = room < count ? room : count;

    if (xsk_ring_prod__needs_wakeup(&queue->fill))
        recvfrom(xsk_socket__fd(queue->xsk), 0, 0, MSG_DONTWAIT, 0, 0);
    if (!count)
        return 0;
    xsk_ring_prod__reserve(&tx, sent, &at);
    for (__u32 i = 0; i < count; i++) {
        const struct xdp_desc *frame = xsk_ring_cons__rx_desc(&queue->rx, from + i);

        if (i < sent)
            forward(frame, xsk_ring_prod__tx_desc(&tx, at + i));
        else
            give(queue, frame->addr / CHUNK * CHUNK);
    }
    xsk_ring_prod__submit(&tx, sent);
    xsk_ring_cons__release(&queue->rx, count);
    return count;
}

int main(int argc, char **argv)
{
    if (argc != 8)
        return 2;
    struct bpf_object *object = open_object(argv[1]);
    __u32 count = atoi(argv[3]);

    header = outer_header(argv[5], argv[6], atoi(argv[7]));
    header_sum = partial_sum(&header.ip);
    signal(SIGTERM, end);
    if (bpf_object__load(object))
        give_up("load");
    area = mmap(0, (size_t)count * FILLED * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (area == MAP_FAILED)
        give_up("map memory");
    attach(object, "steer", index_of(argv[2]), XDP_HOOK);
    for (__u32 i = 0; i < count; i++) {
        queues[i].umem = open_umem(count * FILLED, &queues[i].fill, &queues[i].unused);
        for (__u64 chunk = 0; chunk < FILLED; chunk++)
            give(&queues[i], (i * FILLED + chunk) * CHUNK);
        open_socket(queues[i].umem, &queues[i].xsk, argv[2], i, &queues[i].rx, 0);
        int fd = xsk_socket__fd(queues[i].xsk);

        if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "sockets"), &i, &fd, 0))
            give_up("fill the socket map");
    }
    open_socket(open_umem(count * FILLED, &no_fill, &completion), &uplink, argv[4], 0, 0, &tx);
    printf("ready\n");
    fflush(stdout);
    for (int idle = 0; !stop;) {
        __u32 taken = 0;

        reclaim();
        for (__u32 i = 0; i < count; i++)
            taken += serve(&queues[i]);
        if (__atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE) != *tx.producer && xsk_ring_prod__needs_wakeup(&tx))
            sendto(xsk_socket__fd(uplink), 0, 0, MSG_DONTWAIT, 0, 0);
        idle = taken ? 0 : idle + 1;
        if (taken == 0 && idle < 128)
            __builtin_ia32_pause();
        else if (taken < BATCH)
            nanosleep(&(struct timespec){.tv_nsec = 50000}, 0);
    }
    return 0;
}
