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

/* min > max (both 0 included: see below) never happens; min == max == 0 means: any value. Use INFINITY for one side. */
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
};

/* Every table ends with these two (set by frcnn_opt_parse itself), then { 0 }. */
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
/* The lines of a text file (a CR before the newline and blank lines at the end are dropped; they must be UTF-8 and
 * not empty), for --labels. */
int frcnn_list_read(const char *path, struct frcnn_list *list, struct frcnn_error *err);

/* "I/N", 1 <= I <= N, for --shard: inputs k (from 0) with k mod N = I - 1. */
struct frcnn_shard {
	int64_t index, count; /* count 0: not given */
};
int frcnn_shard_parse(const char *text, void *shard, struct frcnn_error *err);

/* ---- messages (diag.c) ------------------------------------------------------ */

/* Each prints one line on standard error, "PROGRAM: FILE: MESSAGE", control characters as \xNN; file may be NULL. */
void frcnn_report(const char *file, const char *format, ...) FRCNN_PRINTF(2, 3); /* trouble */
void frcnn_warn(const char *file, const char *format, ...) FRCNN_PRINTF(2, 3);   /* "warning: ..."; not under -q */
void frcnn_note(const char *format, ...) FRCNN_PRINTF(1, 2);                     /* only under -v */
/* The message and "Try 'PROGRAM --help'"; returns FRCNN_EXIT_TROUBLE. */
int frcnn_usage(const char *format, ...) FRCNN_PRINTF(1, 2);

/* Whether colours may be used on this stream: a terminal, not TERM=dumb, NO_COLOR unset or empty. */
bool frcnn_color(FILE *stream);

/* Flushes and closes standard output; says so and returns FRCNN_EXIT_TROUBLE when anything written to it was lost. */
int frcnn_close_stdout(void);

/* ---- progress (progress.c) ---------------------------------------------------- */

/* A line "12/206 3.1/s 01:02 left" on standard error, redrawn at most ten times a second; the messages above take it
 * away before they print. Shown when standard error is a terminal and not -q, or always when forced (--progress):
 * then one line every ten seconds where it is no terminal. */
void frcnn_progress_start(size_t total, size_t done, bool forced);
void frcnn_progress_update(size_t done);
void frcnn_progress_end(void);
void frcnn_progress_erase(void); /* for diag.c */

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
	size_t failed; /* operands that could not be read as a list or folder; already reported */
};

/* Operands to images: files as they are; folders walked (every file with JPEG or PNG content, or an image suffix;
 * byte order of the relative path; each folder once, so that links cannot loop); "-" or no operands: names read from
 * standard input, separated by newlines, or NULs when null is set. Trouble with one operand is reported and counted in
 * failed. Returns 0, FRCNN_EINVAL after a usage error was printed, or FRCNN_ENOMEM. */
int frcnn_inputs_gather(char **operands, int count, bool null, struct frcnn_inputs *out);
int frcnn_inputs_add(struct frcnn_inputs *inputs, const char *path, const char *name);
/* Keeps the shard's. */
void frcnn_inputs_shard(struct frcnn_inputs *inputs, struct frcnn_shard shard);
void frcnn_inputs_free(struct frcnn_inputs *inputs);
/* The number an all-digit stem spells ("a/000139.jpg": 139); false where it is none or does not fit. */
bool frcnn_stem_id(const char *name, int64_t *id);

/* The path of a file the toolkit ships under share ("models/parts-r18.safetensors"), looked for beside the running
 * program (installed, or in the source tree) and where it was configured to be installed; NULL when there is none (or
 * no memory). The caller frees it. */
char *frcnn_share_path(const char *relative);

#endif
