/*
 * refuse - makes allocations of the library fail on purpose. The linker sends
 * the unit tests' calls of base's allocators through here (--wrap in the
 * Makefile); as long as nothing is asked for they pass as they are.
 */
#ifndef FRCNN_TESTS_REFUSE_H
#define FRCNN_TESTS_REFUSE_H

#include <stdbool.h>
#include <stddef.h>

/* The nth allocation from now (0: the next) is refused, and all later ones when for_good. Of this thread alone. */
void refuse_allocation(size_t nth, bool for_good);
/* Ends that; true when an allocation was refused. */
bool refuse_end(void);

#endif
