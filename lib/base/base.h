/*
 * base - what every other folder stands on: errors, checked memory, byte
 * buffers, files, strict numbers, text, threads. Knows nothing of boxes,
 * images or models; depends on the C library, libcrypto and pthreads alone.
 */
#ifndef FRCNN_BASE_H
#define FRCNN_BASE_H

#include "base/banned.h"
#include "frcnn.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FRCNN_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FRCNN_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* ---- errors (error.c) -------------------------------------------------- */

/* Writes the message (NULL err: nothing) and returns status. Control characters in the
 * formatted text are written as \xNN. */
int frcnn_fail(struct frcnn_error *err, int status, const char *format, ...) FRCNN_PRINTF(3, 4);
int frcnn_fail_nomem(struct frcnn_error *err); /* "out of memory", FRCNN_ENOMEM */
/* "PATH: no such file or directory": the system's reason for an errno code; FRCNN_EIO (FRCNN_ENOMEM for ENOMEM). */
int frcnn_fail_errno(struct frcnn_error *err, const char *path, int code);

/* ---- memory (memory.c) ------------------------------------------------- */

/* count * size bytes, zeroed; NULL when refused or when the product overflows. count*size 0 gives a live pointer. */
void *frcnn_calloc(size_t count, size_t size);
/* Grows or shrinks as realloc; NULL on refusal or overflow, the old block untouched. */
void *frcnn_realloc(void *block, size_t count, size_t size);
/* 64-byte aligned, not zeroed; freed by free(). */
void *frcnn_alloc_aligned(size_t count, size_t size);
char *frcnn_strdup(const char *text);
char *frcnn_strndup(const char *text, size_t size);
/* False on overflow. */
bool frcnn_mul_size(size_t a, size_t b, size_t *out);

/* Makes room for one more element in a growing array: data, capacity (elements) in, out. 0 or FRCNN_ENOMEM. */
int frcnn_grow(void **data, size_t *capacity, size_t needed, size_t element_size);

/* ---- byte buffers (buffer.c) -------------------------------------------- */

/* Zero-initialise. data is NUL-terminated once anything was added. A refused allocation
 * sets failed and makes later additions do nothing: check once at the end. */
struct frcnn_buffer {
	char *data;
	size_t size, capacity;
	bool failed;
};

void frcnn_buffer_add(struct frcnn_buffer *buffer, const void *bytes, size_t size);
void frcnn_buffer_puts(struct frcnn_buffer *buffer, const char *text);
void frcnn_buffer_putc(struct frcnn_buffer *buffer, char c);
void frcnn_buffer_printf(struct frcnn_buffer *buffer, const char *format, ...) FRCNN_PRINTF(2, 3);
void frcnn_buffer_clear(struct frcnn_buffer *buffer); /* size 0, memory kept, failed reset */
void frcnn_buffer_free(struct frcnn_buffer *buffer);

/* A borrowed piece of text or bytes; not NUL-terminated. */
struct frcnn_span {
	const char *data;
	size_t size;
};
/* Inline, so that the length of a literal is known when compiled. */
static inline bool frcnn_span_is(struct frcnn_span span, const char *text)
{
	return span.size == strlen(text) && memcmp(span.data, text, span.size) == 0;
}

/* ---- files (file.c) ------------------------------------------------------ */

/* A file's bytes, read-only: mapped where it is a regular file, else read whole. */
struct frcnn_file {
	const uint8_t *data;
	size_t size;
	void *map;  /* private */
	void *heap; /* private */
};
/* Errors name the path. max_size 0: no limit for a regular file, 8 GiB for others. A directory is an error. A mapped
 * file must not be truncated by others while it is open (SIGBUS); replacing it by rename is harmless. */
int frcnn_file_open(const char *path, size_t max_size, struct frcnn_file *out, struct frcnn_error *err);
void frcnn_file_close(struct frcnn_file *file);

/* Atomic output: writes PATH.part (exclusively ours from then on; what a killed run left there is replaced) and renames
 * it onto PATH, whose mode it takes where there is one, in commit. A target
 * that exists and is not a regular file (/dev/null, a FIFO) is written directly. */
struct frcnn_output {
	FILE *stream;
	char *path, *part; /* part NULL: written directly */
};
int frcnn_output_open(const char *path, struct frcnn_output *out, struct frcnn_error *err);
/* Whether writing PATH so would touch a regular file that is read, or written, as well: part: PATH.part and
 * PATH.part.json alone, else PATH itself too. Either name may be NULL: false. */
bool frcnn_output_touches(const char *path, const char *file, bool part);
/* Goes on with the part of an interrupted run: keeps its first offset bytes, drops the rest, writes on from there. */
int frcnn_output_resume(const char *path, int64_t offset, struct frcnn_output *out, struct frcnn_error *err);
/* Flush, fsync, rename, close: *output is zeroed. On failure it stays as it was, to be aborted or suspended. */
int frcnn_output_commit(struct frcnn_output *output, struct frcnn_error *err);
/* Flush and close, leaving the part for frcnn_output_resume. *output is zeroed, whatever the outcome. */
int frcnn_output_suspend(struct frcnn_output *output, struct frcnn_error *err);
/* Close, remove the part. Nothing happens to a zeroed (committed) output. */
void frcnn_output_abort(struct frcnn_output *output);
/* mkdir -p of the folders above path. */
int frcnn_make_parents(const char *path, struct frcnn_error *err);

/* ---- numbers (number.c) --------------------------------------------------- */

/* Strict: the whole text must be one decimal number ("-1", "+0.5", ".5", "5.", "1e-3"; no blanks, hex, inf, nan),
 * correctly rounded, whatever the locale. Return 0, or FRCNN_EINVAL (malformed) / FRCNN_ELIMIT (does not fit: out of
 * range of int64; overflow to infinity). */
int frcnn_parse_int64(const char *text, size_t size, int64_t *out);
/* An integer also when it is written 1.0 or 12e2, exactly; 1.5 is FRCNN_EINVAL. */
int frcnn_parse_exact_int64(const char *text, size_t size, int64_t *out);
int frcnn_parse_double(const char *text, size_t size, double *out);
/* mantissa * 10^exponent, correctly rounded, where that is cheap; false: parse the text. */
bool frcnn_decimal_to_double(uint64_t mantissa, int64_t exponent, double *out);
int frcnn_parse_float(const char *text, size_t size, float *out); /* rounded once, text -> float32 */

/* The shortest decimal text that reads back to the same value; JSON syntax ("1e-07" never "1e-7."; integers
 * without ".0"). value must be finite. Returns the length; out must hold 32 bytes. */
size_t frcnn_format_float(float value, char *out);
size_t frcnn_format_double(double value, char *out);

float frcnn_half_to_float(uint16_t half);
uint16_t frcnn_float_to_half(float value); /* round to nearest even */
float frcnn_bfloat16_to_float(uint16_t value);

/* ---- text (text.c) --------------------------------------------------------- */

/* Length of the first well-formed UTF-8 sequence at text (size > 0), or 0. */
size_t frcnn_utf8_length(const char *text, size_t size);
/* Reversible UTF-8 for file names: a byte that is not UTF-8 becomes the four characters \xNN (capital hex), and a
 * backslash that stands before x and two hex digits becomes \x5C. unescape undoes it. */
void frcnn_escape_bytes(struct frcnn_buffer *out, const char *bytes, size_t size);
void frcnn_unescape_bytes(struct frcnn_buffer *out, const char *text, size_t size);
/* UTF-8 that is neither empty nor holds a control character (C0, DEL, C1). */
bool frcnn_is_line(const char *text, size_t size);
/* For messages: control characters and bytes that are not UTF-8 as \xNN. */
void frcnn_printable(struct frcnn_buffer *out, const char *bytes, size_t size);
/* The same for the first character (size > 0): returns how many bytes it takes, *length how many were written. */
enum { FRCNN_PRINTABLE_MAX = 8 };
size_t frcnn_printable_one(const char *bytes, size_t size, char out[FRCNN_PRINTABLE_MAX], size_t *length);

/* ---- digest (digest.c) ------------------------------------------------------ */

/* SHA-256 as 64 lower-case hex digits and a NUL. */
int frcnn_sha256(const void *bytes, size_t size, char hex[65], struct frcnn_error *err);

/* ---- time and threads (clock.c, cores.c, pool.c) -------------------------------------- */

double frcnn_seconds(void); /* monotonic */

/* Cores this process may use (affinity, cgroup quota), at least 1. */
int frcnn_usable_cores(void);
/* Bytes that this process may still take as far as its limits (RLIMIT_AS, RLIMIT_DATA, cgroup) say; INT64_MAX: they say
 * nothing. What the machine has is not asked. */
int64_t frcnn_usable_memory(void);

/* A pool of n threads, the caller being one of them; made once, owned by the caller. It has fewer where the system
 * refuses some. */
struct frcnn_pool;
int frcnn_pool_new(int threads, struct frcnn_pool **out, struct frcnn_error *err);
void frcnn_pool_free(struct frcnn_pool *pool);
int frcnn_pool_threads(const struct frcnn_pool *pool); /* NULL pool: 1 */
/* Calls task(context, index, worker) for index 0 .. count - 1, in any order, on any worker 0 .. threads - 1, and
 * returns when all are done. Results must not depend on worker or order. Not reentrant. NULL pool: runs here.
 * Idle workers sleep (a short spin is allowed between back-to-back runs). */
void frcnn_pool_run(struct frcnn_pool *pool, size_t count, void (*task)(void *context, size_t index, int worker),
		    void *context);
/* From hold to release runs follow each other soon: workers wait for the next awake, half a millisecond at most, and
 * longer waits are slept through. Where there are more threads than cores nothing changes. May be nested; NULL pool:
 * nothing. */
void frcnn_pool_hold(struct frcnn_pool *pool);
void frcnn_pool_release(struct frcnn_pool *pool);

/* ---- numbers in bytes -------------------------------------------------------------- */

/* How the values of a tensor lie in bytes: value = (byte - zero) * scale. scale 0: they do not, they are float32. */
struct frcnn_quant {
	float scale;
	int zero; /* 0 .. 255 */
};

#endif
