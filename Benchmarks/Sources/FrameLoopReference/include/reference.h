/* The worker's loop by hand in C, for FrameLoop: what it does for a plain frame, with the same decisions on the way. */
#pragma once
#include <stdint.h>

/* Where the rings are mapped, as CaptureRingMapping and RingMapping say; and one packet that Heliostat has made of a frame,
   which gives the outer header. */
struct reference_memory {
    void *capture; /* struct hs_ring */
    unsigned long size;
    void *transmit_producer, *transmit_consumer, *transmit_flags, *transmit_elements;
    void *completion_producer, *completion_consumer, *completion_elements;
    uint32_t entries;
    const void *packet;
};

struct reference_worker;

struct reference_worker *reference_make(const struct reference_memory *memory);

/* One turn: the number of records taken. */
long reference_turn(struct reference_worker *worker);

/* Frames handed to the uplink so far. */
uint64_t reference_frames(const struct reference_worker *worker);

/* Where the chunks are. */
void *reference_area(const struct reference_worker *worker);
