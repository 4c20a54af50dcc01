/* ceiling OBJECT PORT UPLINK UPLINK-MAC NEXT-HOP-MAC VNI [REDIRECT-OBJECT]: Heliostat's design by hand in C, without what a product needs
   (programs, filters, segmentation, checksums, ledgers, the loop guard): the rings of all CPUs merged by time,
   VXLAN in front, out by an AF_XDP TX ring in copy mode. What is between it and Heliostat is the price of those.
   With REDIRECT-OBJECT many copies at once leave as XDP frames instead (redirect.bpf.c). */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include "attach.h"
#include "ceiling.h"
#include "redirect.h"

enum { RING = 4096, XDP_HOOK = 37, LIVE_FRAMES = 1 << 1 };
/* A run makes a page pool of 64 pages: for fewer copies it costs more than their skbs. */
enum { FEWEST_LIVE = 48, LIVE_BATCH = 64 };

struct reader {
    struct ring *ring;
    __u64 position;
};

static volatile sig_atomic_t stop;
static struct reader readers[BENCH_CPUS];
static int ring_count;
static __u64 free_chunks[CHUNKS];
static int free_count;
static __u8 *area;
static struct xsk_socket *xsk;
static struct xsk_ring_prod tx, fill;
static struct xsk_ring_cons completion;
static struct outer header;
static __u32 header_sum;
static int budget = 64, nap = 50000;
static struct copy_queue *queue; /* nothing without REDIRECT-OBJECT */
static int queued, redirect_program;

static void end(int signal)
{
    (void)signal;
    stop = 1;
}

static void map_rings(int fd)
{
    struct ring *rings = mmap(0, ring_count * sizeof *rings, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (rings == MAP_FAILED)
        give_up("map the rings");
    for (int i = 0; i < ring_count; i++)
        readers[i].ring = rings + i;
}

/* The record at the head, or nothing. */
static const struct record *head(const struct reader *reader, __u64 limit)
{
    return reader->position == limit ? 0 : (const void *)(reader->ring->data + (reader->position & (RING_BYTES - 1)));
}

static void reclaim(void)
{
    __u32 at, count = xsk_ring_cons__peek(&completion, RING, &at);

    for (__u32 i = 0; i < count; i++)
        free_chunks[free_count++] = *xsk_ring_cons__comp_addr(&completion, at + i) & ~(__u64)(CHUNK - 1);
    xsk_ring_cons__release(&completion, count);
}

static void kick(void)
{
    for (int calls = 0; calls < 256; calls++) {
        __u32 before = __atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE);

        if (before == *tx.producer)
            break;
        if (sendto(xsk_socket__fd(xsk), 0, 0, MSG_DONTWAIT, 0, 0) < 0
            && (errno != EAGAIN || before == __atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE)))
            break;
    }
}

/* What waits in the queue leaves, as XDP frames if it is much. */
static void send_queued(void)
{
    static const __u64 before[FRAME_BEFORE / 8] = {0};
    struct xdp_md context = {.data_end = FRAME_BEFORE};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = before, .data_size_in = FRAME_BEFORE, .ctx_in = &context,
                .ctx_size_in = sizeof context, .repeat = queued, .flags = LIVE_FRAMES, .batch_size = LIVE_BATCH);
    __u64 first = queue->next;
    __u32 at;

    queue->end = first + queued;
    if (queued >= FEWEST_LIVE && bpf_prog_test_run_opts(redirect_program, &options)) {
        errno = EIO;
        give_up("run live frames");
    }
    for (int i = 0; i < queued; i++) {
        struct queued_copy copy = queue->copies[(first + i) % QUEUE];
        __u64 chunk = (__u64)copy.chunk * CHUNK;

        if (queued < FEWEST_LIVE && xsk_ring_prod__reserve(&tx, 1, &at)) {
            *xsk_ring_prod__tx_desc(&tx, at) = (struct xdp_desc){.addr = chunk, .len = copy.length};
            xsk_ring_prod__submit(&tx, 1);
        } else {
            free_chunks[free_count++] = chunk;
        }
    }
    queue->next = first + queued;
    queued = 0;
}

static void send_copy(const struct record *record)
{
    __u32 at = 0;

    if (free_count == 0 || xsk_prod_nb_free(&tx, 1) == 0) {
        if (queue)
            send_queued();
        kick();
        reclaim();
        if (free_count == 0)
            return;
    }
    if (!queue && xsk_ring_prod__reserve(&tx, 1, &at) == 0)
        return;
    __u64 chunk = free_chunks[--free_count];
    struct outer *outer = (struct outer *)(area + chunk);

    encapsulate(outer, &header, header_sum, (const void *)(record + 1), record->length);
    memcpy(outer + 1, record + 1, record->length);
    if (queue) {
        queue->copies[(queue->next + queued++) % QUEUE] = (struct queued_copy){chunk / CHUNK, record->length + sizeof *outer};
        return;
    }
    *xsk_ring_prod__tx_desc(&tx, at) = (struct xdp_desc){.addr = chunk, .len = record->length + sizeof *outer};
    xsk_ring_prod__submit(&tx, 1);
}

/* A batch of records by rising time; how many there were. */
static int turn(void)
{
    __u64 limit[BENCH_CPUS];
    int taken = 0;

    reclaim();
    for (int i = 0; i < ring_count; i++)
        limit[i] = __atomic_load_n(&readers[i].ring->produced, __ATOMIC_ACQUIRE);
    for (; taken < budget; taken++) {
        struct reader *first = 0;
        const struct record *oldest = 0;

        for (int i = 0; i < ring_count; i++) {
            const struct record *record = head(&readers[i], limit[i]);

            if (record && (!oldest || record->time < oldest->time)) {
                oldest = record;
                first = &readers[i];
            }
        }
        if (!first)
            break;
        send_copy(oldest);
        first->position = next_record(first->position, oldest->length);
    }
    for (int i = 0; i < ring_count; i++)
        __atomic_store_n(&readers[i].ring->consumed, readers[i].position, __ATOMIC_RELEASE);
    if (queue)
        send_queued();
    kick();
    return taken;
}

/* The chunks are a BPF array that the program reads. Attached to a device, it is in the kernel's dispatcher for good:
   otherwise each run puts it there and takes it out again, and waits 24 ms for readers to pass (kernel/bpf/dispatcher.c). */
static void open_redirect(const char *path, const char *device)
{
    struct bpf_object *object = open_object(path);
    __u32 zero = 0, index = index_of(device);

    if (bpf_object__load(object) || bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "uplink"), &zero, &index, 0))
        give_up("load");
    redirect_program = bpf_program__fd(bpf_object__find_program_by_name(object, "redirect"));
    area = mmap(0, CHUNKS * CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_object__find_map_fd_by_name(object, "area"), 0);
    queue = mmap(0, (sizeof *queue + 4095) & ~4095ul, PROT_READ | PROT_WRITE, MAP_SHARED,
                 bpf_object__find_map_fd_by_name(object, "queue"), 0);
    if (area == MAP_FAILED || queue == MAP_FAILED)
        give_up("map the chunks");
    attach(object, "redirect", index_of("lo"), XDP_HOOK);
    budget = 256;
    nap = 200000;
}

static void open_uplink(const char *device)
{
    struct xsk_umem_config memory = {.fill_size = RING, .comp_size = RING, .frame_size = CHUNK};
    struct xsk_socket_config config = {
        .tx_size = RING, .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD, .bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP};
    struct xsk_umem *umem;
    int room = 32 << 20, error;

    if (!queue)
        area = mmap(0, CHUNKS * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (area == MAP_FAILED || (error = xsk_umem__create(&umem, area, CHUNKS * CHUNK, &fill, &completion, &memory))
        || (error = xsk_socket__create(&xsk, device, 0, umem, 0, &tx, &config))) {
        errno = area == MAP_FAILED ? errno : -error;
        give_up("open the AF_XDP socket");
    }
    setsockopt(xsk_socket__fd(xsk), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    for (int i = 0; i < CHUNKS; i++)
        free_chunks[free_count++] = (__u64)i * CHUNK;
}

int main(int argc, char **argv)
{
    if (argc != 7 && argc != 8)
        return 2;
    struct bpf_object *object = open_object(argv[1]);
    int cpus = sysconf(_SC_NPROCESSORS_CONF), idle = 0;

    ring_count = cpus < BENCH_CPUS ? cpus : BENCH_CPUS;
    header = outer_header(argv[4], argv[5], atoi(argv[6]));
    header_sum = partial_sum(&header.ip);
    signal(SIGTERM, end);
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "rings"), ring_count);
    if (bpf_object__load(object))
        give_up("load");
    map_rings(bpf_object__find_map_fd_by_name(object, "rings"));
    if (argc == 8)
        open_redirect(argv[7], argv[3]);
    open_uplink(argv[3]);
    attach(object, "capture", index_of(argv[2]), TCX_INGRESS);
    printf("ready\n");
    fflush(stdout);
    while (!stop) {
        int taken = turn();

        if (taken > 0)
            idle = 0;
        if (taken == budget)
            continue;
        if (taken == 0 && idle++ < 128)
            __builtin_ia32_pause();
        else
            nanosleep(&(struct timespec){.tv_nsec = nap}, 0);
    }
    return 0;
}
