/* Between the files of cli/ alone. */
#ifndef FRCNN_CLI_PRIVATE_H
#define FRCNN_CLI_PRIVATE_H

/* The name that messages begin with (its first word) and that "Try '... --help'" shows; must live on. */
void frcnn_diag_program(const char *name);

#endif
