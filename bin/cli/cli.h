/*
 * cli - what the programs share and the library must not hold: options,
 * messages, inputs, progress. Everything that prints, exits or asks the
 * environment lives here or in a program; arithmetic and file formats do not.
 * Never installed.
 *
 * The contract of every program: inputs are operands, output is -o; the letters
 * -o -j -0 -q -v -h -V mean the same everywhere and each has a long name;
 * stdout is data only; exit status 0 done, 1 a gate failed, 2 trouble.
 */
#ifndef FRCNN_CLI_H
#define FRCNN_CLI_H

#include "base/base.h"

#include <math.h>
#include <stdio.h>

enum { FRCNN_EXIT_OK = 0, FRCNN_EXIT_GATE = 1, FRCNN_EXIT_TROUBLE = 2 };

/* ---- options (opt.c) ------------------------------------------------------- */

/* What an option's value points at. */
enum frcnn_opt_type {
	FRCNN_OPT_END,    /* ends the table */
	FRCNN_OPT_GROUP,  /* a heading of --help; only help is read */
	FRCNN_OPT_FLAG,   /* bool *, becomes true */
	FRCNN_OPT_TEXT,   /* const char **, into argv */
	FRCNN_OPT_INT,    /* int *, within min .. max */
	FRCNN_OPT_INT64,  /* int64_t *, within min .. max */
	FRCNN_OPT_REAL,   /* double *, within min .. max */
	FRCNN_OPT_REALS,  /* struct frcnn_reals *: numbers separated by ',', each within min .. max */
	FRCNN_OPT_LIST,   /* struct frcnn_list *: words separated by ','; given twice, the lists are joined */
	FRCNN_OPT_CHOICE, /* int *, which word of argument ("jsonl|coco|csv"), from 0 */
	FRCNN_OPT_MAYBE, /* int *: 0 not given, 1 bare, 2 + which word of argument ("json|yaml"); only as --name=word */
	FRCNN_OPT_CUSTOM /* parse(text, value, err) */
};

struct frcnn_reals {
	double values[32];
	int count;
};

struct frcnn_list {
	char **items;
	size_t count, capacity;
};
void frcnn_list_free(struct frcnn_list *list);

/* min == max == 0 means any value; one side may be infinite. */
struct frcnn_opt {
	enum frcnn_opt_type type;
	char letter;          /* 0: none */
	const char *name;     /* without "--" */
	const char *argument; /* how --help calls it: "FILE", "DIR", "N", or the choices; NULL for flags */
	void *value;
	double min, max;
	int (*parse)(const char *text, void *value, struct frcnn_error *err); /* FRCNN_OPT_CUSTOM */
	bool result;      /* the output's bytes depend on it (frcnn_opt_describe) */
	const char *help; /* one sentence without full stop; wrapped by --help */
	const char *text; /* private: the argument last given, or NULL */
};

struct frcnn_program {
	const char *name;     /* "frcnn-detect", or "frcnn-model info" for a subcommand */
	const char *synopsis; /* what follows the name: "[option ...] [image | folder | -] ..."; '\n' between several */
	const char *summary;  /* one sentence */
	struct frcnn_opt *options;
	bool gates; /* may end with status 1 */
};

/* Every table ends with FRCNN_OPT_COMMON, then {0}. */
extern bool frcnn_quiet;
extern bool frcnn_verbose;
#define FRCNN_OPT_COMMON                                                                                               \
	{.type = FRCNN_OPT_FLAG,                                                                                       \
	 .letter = 'q',                                                                                                \
	 .name = "quiet",                                                                                              \
	 .value = &frcnn_quiet,                                                                                        \
	 .help = "no progress and no warnings; errors stay"},                                                          \
	    {.type = FRCNN_OPT_FLAG,                                                                                   \
	     .letter = 'v',                                                                                            \
	     .name = "verbose",                                                                                        \
	     .value = &frcnn_verbose,                                                                                  \
	     .help = "say on standard error what is being used and done"},                                             \
	    {.type = FRCNN_OPT_FLAG, .letter = 'h', .name = "help", .help = "print this help and end"},                \
	{                                                                                                              \
		.type = FRCNN_OPT_FLAG, .letter = 'V', .name = "version",                                              \
		.help = "print version and kernel sets and end"                                                        \
	}

/* Parses argv[1 ..], options and operands in any order, "--" ending the options; operands are moved to
 * argv[1 .. *operands] (argv[*operands + 1] is NULL). Takes unambiguous abbreviations of long names, as getopt_long
 * does. Returns -1: go on; else the exit status to end with (after --help, --version, --list-options or a usage error,
 * all printed). Also names the program for the messages below: call it first. For a subcommand pass argc - 1,
 * argv + 1.
 *
 * --list-options (hidden) prints a line an option: --name TAB -letter or nothing TAB argument or nothing TAB help;
 * choices stand in the argument as "a|b|c", an optional argument as "[=json]". */
int frcnn_opt_parse(const struct frcnn_program *program, int argc, char **argv, int *operands);
/* True when the option was on the command line. */
bool frcnn_opt_given(const struct frcnn_program *program, const char *name);
/* One line "name=value" for each result option that was given, numbers in their shortest form, in table order. */
void frcnn_opt_describe(const struct frcnn_program *program, struct frcnn_buffer *out);

/* Splits at ',' into list (appending); an empty word is FRCNN_EINVAL. */
int frcnn_list_split(const char *text, struct frcnn_list *list, struct frcnn_error *err);
int frcnn_list_add(struct frcnn_list *list, const char *text, size_t size, struct frcnn_error *err);

/* "I/N", 1 <= I <= N, for --shard: inputs k (from 0) with k mod N = I - 1. */
struct frcnn_shard {
	int64_t index, count; /* count 0: not given */
};
int frcnn_shard_parse(const char *text, void *shard, struct frcnn_error *err);

/* ---- messages (diag.c) ------------------------------------------------------ */

/* Each prints one line on standard error, "PROGRAM: FILE: MESSAGE", control characters as \xNN; file may be NULL. */
void frcnn_report(const char *file, const char *format, ...) FRCNN_PRINTF(2, 3); /* trouble */
void frcnn_report_errno(const char *file, int code); /* the system's reason, as frcnn_fail_errno words it */
void frcnn_warn(const char *file, const char *format, ...) FRCNN_PRINTF(2, 3); /* "warning: ..."; not under -q */
void frcnn_say(const char *format, ...) FRCNN_PRINTF(1, 2);                    /* only under -v */
/* The message and "Try 'PROGRAM --help'"; returns FRCNN_EXIT_TROUBLE. */
int frcnn_usage(const char *format, ...) FRCNN_PRINTF(1, 2);

/* Whether colours may be used on this stream: a terminal, not TERM=dumb, NO_COLOR unset or empty. */
bool frcnn_color(FILE *stream);

/* Writes text to standard output now, before what is said on standard error later; frcnn_close_stdout tells of what was
 * lost, and why. */
void frcnn_print(const struct frcnn_buffer *text);
/* Flushes and closes standard output; says so and returns FRCNN_EXIT_TROUBLE when anything written to it was lost. */
int frcnn_close_stdout(void);

/* ---- progress (progress.c) ---------------------------------------------------- */

/* A line "12/206 3.1/s 01:02 left" ("12 3.1/s" when total is 0: unknown) on standard error, redrawn at most ten times a
 * second; the messages above take it away before they print. Shown when standard error is a terminal and not -q, or
 * always when forced (--progress): then one line every ten seconds where it is no terminal. */
void frcnn_progress_start(size_t total, size_t done, bool forced);
void frcnn_progress_update(size_t done);
void frcnn_progress_end(void);

/* ---- inputs (input.c) ----------------------------------------------------------- */

struct frcnn_input {
	char *path;  /* to open */
	char *name;  /* as records name it: the operand, or operand/relative path; bytes, not yet escaped */
	bool has_id; /* the ground truth's, or an all-digit stem */
	int64_t id;
	int width, height; /* as a ground truth states them, or 0 */
};

struct frcnn_inputs {
	struct frcnn_input *items;
	size_t count, capacity;
	size_t failed;               /* what could not be read as a list, a folder or an entry; each was reported */
	struct frcnn_stream *stream; /* names still to be read (frcnn_inputs_stream); NULL: all inputs are there */
};

/* Adds what the operands name: files as they are; folders walked (every file with JPEG or PNG content, or an image
 * suffix; byte order of the relative path; each folder once, so that links cannot loop); "-" or no operands: names read
 * from standard input, separated by newlines, or NULs when null is set. Trouble with one operand is reported and
 * counted in failed. Returns -1: go on; else an exit status, the usage error or lack of memory having been printed. */
int frcnn_inputs_gather(struct frcnn_inputs *inputs, char **operands, int count, bool null);
/* As gather and frcnn_inputs_shard together, but when the last operand is a list on standard input (or there is none)
 * its names are read one by one, as take asks for them: then ->stream is set. */
int frcnn_inputs_stream(struct frcnn_inputs *inputs, char **operands, int count, bool null, struct frcnn_shard shard);
/* Whether input i is there or can be read without waiting. */
bool frcnn_inputs_ready(struct frcnn_inputs *inputs, size_t i);
/* Copies input i, whose texts stay where they are, waiting for its name where that is still to come; false after the
 * last. One caller at a time, and meanwhile nobody else looks at inputs. */
bool frcnn_inputs_take(struct frcnn_inputs *inputs, size_t i, struct frcnn_input *out);
/* From any thread: a take that waits for a name, and each later one that would, finds the end. */
void frcnn_inputs_stop(struct frcnn_inputs *inputs);
/* Adds the images of a COCO instances file, found under root (NULL: as they stand), with their ids and sizes. */
int frcnn_inputs_from_truth(struct frcnn_inputs *inputs, const char *truth, const char *root);
/* Gives the inputs there are the ids and sizes of a COCO instances file; one that it does not know is a warning. */
int frcnn_inputs_join_truth(struct frcnn_inputs *inputs, const char *truth);
/* Keeps the shard's. */
void frcnn_inputs_shard(struct frcnn_inputs *inputs, struct frcnn_shard shard);
/* Takes input i out. */
void frcnn_inputs_remove(struct frcnn_inputs *inputs, size_t i);
/* SHA-256 over names and ids in order. */
int frcnn_inputs_digest(const struct frcnn_inputs *inputs, char hex[65], struct frcnn_error *err);
void frcnn_inputs_free(struct frcnn_inputs *inputs);

/* ---- decoding ahead (decode.c) ------------------------------------------------------ */

struct frcnn_decoded {
	struct frcnn_input input;
	int status; /* 0, or an error: err says what, path included */
	struct frcnn_error err;
	struct frcnn_image image;
	double seconds; /* reading and decoding */
};

/* Pixels that wait in memory, in bytes: more only where a single picture has more. */
#define FRCNN_PIXELS_WAITING ((size_t)256 << 20)

/* Reads and decodes one input. room (NULL: none) is told how many bytes of pixels the picture has before memory is
 * taken for them, and may wait; it is not called for a file that cannot be read. */
void frcnn_decode(const struct frcnn_input *input, const struct frcnn_image_options *options,
		  void (*room)(void *context, size_t bytes), void *context, struct frcnn_decoded *out);

/* Decodes inputs from first on in order, a few ahead of the caller in a thread of its own (a bounded queue; no
 * more than FRCNN_PIXELS_WAITING), or on demand when ahead is false or no thread can be started. */
struct frcnn_decoder;
int frcnn_decoder_new(struct frcnn_inputs *inputs, size_t first, const struct frcnn_image_options *options, bool ahead,
		      struct frcnn_decoder **out, struct frcnn_error *err);
/* The next input's picture, the caller's to free; false after the last. */
bool frcnn_decoder_next(struct frcnn_decoder *decoder, struct frcnn_decoded *out);
/* false: from now on the decoder holds no pixels, those that wait are given back and decoded on demand; true: it works
 * ahead again, if it ever did. */
void frcnn_decoder_ahead(struct frcnn_decoder *decoder, bool ahead);
void frcnn_decoder_free(struct frcnn_decoder *decoder);

/* ---- output that can be taken up again (output.c) ------------------------------------- */

/* What a run must have in common with the one that it takes up; borrowed until close. */
struct frcnn_run {
	const char *model;   /* frcnn_model_id */
	const char *cpu;     /* the kernel set in force */
	const char *options; /* lines "name=value" */
	const char *inputs;  /* digest of the input list */
	size_t count;        /* inputs */
};

/* Standard output, or a file: FILE.part, with FILE.part.json beside it saying how far it goes, until it is whole. */
struct frcnn_sink {
	struct frcnn_run run;
	FILE *stream;
	const char *path; /* NULL: standard output */
	struct frcnn_output file;
	char *sidecar; /* NULL: no sidecar (standard output, a device, a FIFO) */
	size_t done;   /* inputs finished, failed ones included */
	size_t failed;
	int64_t bytes; /* of whole records */
};

enum frcnn_sink_state { FRCNN_SINK_NEW, FRCNN_SINK_RESUMED, FRCNN_SINK_WHOLE };

/* path NULL or "-": standard output. With resume: takes up FILE.part (done, failed and bytes say where; anything behind
 * is dropped); *state says whether there was one, or whether FILE is whole already (then nothing is open). A FILE.part
 * of another model, kernel set, options or inputs is FRCNN_EINVAL. Without resume a FILE.part is overwritten. */
int frcnn_sink_open(struct frcnn_sink *sink, const char *path, const struct frcnn_run *run, bool resume,
		    enum frcnn_sink_state *state, struct frcnn_error *err);
/* Writes whole records through to the system, then notes that done inputs are finished, failed of them in vain. SIGINT,
 * SIGTERM and SIGHUP wait until both are done: what is on disk always agrees. */
int frcnn_sink_put(struct frcnn_sink *sink, const struct frcnn_buffer *records, size_t done, size_t failed,
		   struct frcnn_error *err);
/* The file is whole: renames it and removes the sidecar; standard output: closes it. */
int frcnn_sink_commit(struct frcnn_sink *sink, struct frcnn_error *err);
/* Leaves FILE.part and its sidecar for a later run. */
void frcnn_sink_close(struct frcnn_sink *sink);

/* ---- limits (limits.c) ------------------------------------------------------------------ */

/* Where the process has a limit on its address space or data: makes threads and malloc reserve little, as what is
 * reserved counts like what is used. Call it before there are threads. */
void frcnn_heed_limits(void);

/* ---- shipped files (share.c) ------------------------------------------------------------ */

/* The path of a file the toolkit ships under share ("models/parts-r18.safetensors"), looked for beside the running
 * program (installed, or in the source tree) and where it was configured to be installed; NULL when there is none (or
 * no memory). The caller frees it. */
char *frcnn_share_path(const char *relative);

/* ---- timing (stats.c) -------------------------------------------------------------------- */

/* Samples of one kind; zero-initialise. */
struct frcnn_samples {
	double *values;
	size_t count, capacity;
	bool sorted;
};
int frcnn_samples_add(struct frcnn_samples *samples, double value);
double frcnn_samples_percentile(struct frcnn_samples *samples, double percent); /* nearest rank; NaN without any */
double frcnn_samples_mean(const struct frcnn_samples *samples);                 /* NaN without any */
void frcnn_samples_free(struct frcnn_samples *samples);

#endif
