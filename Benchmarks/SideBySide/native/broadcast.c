/* broadcast OBJECT PORT DESTINATION UPLINK UPLINK-MAC NEXT-HOP-MAC VNI: attaches broadcast.bpf.c and stays until end of
   input. */
#include "attach.h"

enum { XDP_HOOK = 37 }; /* BPF_XDP */

int main(int argc, char **argv)
{
    if (argc != 8)
        return 2;
    struct bpf_object *object = open_object(argv[1]);
    struct clone_constants *set = constants(object);
    __u32 first = 0, second = 1;

    set->header = outer_header(argv[5], argv[6], atoi(argv[7]));
    set->sum = partial_sum(&set->header.ip);
    if (bpf_object__load(object))
        give_up("load");
    int outputs = bpf_object__find_map_fd_by_name(object, "outputs");
    struct bpf_devmap_val plain = {.ifindex = index_of(argv[3]), .bpf_prog.fd = -1};
    struct bpf_devmap_val tunnel = {
        .ifindex = index_of(argv[4]),
        .bpf_prog.fd = bpf_program__fd(bpf_object__find_program_by_name(object, "encapsulate"))};

    if (bpf_map_update_elem(outputs, &first, &plain, 0) || bpf_map_update_elem(outputs, &second, &tunnel, 0))
        give_up("fill the devmap");
    attach(object, "mirror", index_of(argv[2]), XDP_HOOK);
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
