/* Between the files of cli/ alone. */
#ifndef FRCNN_CLI_PRIVATE_H
#define FRCNN_CLI_PRIVATE_H

#include <pthread.h>

/* The name that messages begin with (its first word) and that "Try '... --help'" shows; must live on. */
void frcnn_diag_program(const char *name);

/* Held while standard error is written to: messages come from threads that read or decode inputs, too. */
extern pthread_mutex_t frcnn_diag_lock;
/* Takes the progress line away; under frcnn_diag_lock. */
void frcnn_progress_erase(void);

#endif
