/* capture_xdp.bpf.c for drivers that hand the tag over which they have taken out of the frame: bound to one device. */
#define HS_XDP
#define HS_XDP_TAG
#include "capture.bpf.c"
