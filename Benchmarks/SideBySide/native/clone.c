/* clone OBJECT PORT DUMMY UPLINK UPLINK-MAC NEXT-HOP-MAC VNI: attaches clone.bpf.c and stays until end of input. */
#include "attach.h"

int main(int argc, char **argv)
{
    if (argc != 8)
        return 2;
    struct bpf_object *object = open_object(argv[1]);
    struct clone_constants *set = constants(object);

    set->header = outer_header(argv[5], argv[6], atoi(argv[7]));
    set->sum = partial_sum(&set->header.ip);
    set->encapsulator = index_of(argv[3]);
    set->uplink = index_of(argv[4]);
    if (bpf_object__load(object))
        give_up("load");
    attach(object, "encapsulate", set->encapsulator, TCX_EGRESS);
    attach(object, "mirror", index_of(argv[2]), TCX_INGRESS);
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
