/* Functions that have no safe use here: naming one is a compile error. */
#ifndef FRCNN_BANNED_H
#define FRCNN_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atof

#endif
