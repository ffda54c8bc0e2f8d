/*
 * eval - parts of frcnn-eval: here the forms of its options, in job.h its run.
 * Never installed. frcnn-quantize has its gates from here too, and links no more of it.
 */
#ifndef FRCNN_EVAL_OPTIONS_H
#define FRCNN_EVAL_OPTIONS_H

#include "cli/cli.h"
#include "eval/report.h"

/* FRCNN_OPT_CUSTOM parsers; value as said. */

struct eval_ious {
	double values[FRCNN_EVAL_MAX_IOUS];
	int count; /* 0: not given */
};
/* struct eval_ious *: "0.5,0.75", or "0.5:0.95:0.05" as numpy's linspace makes it. Each within (0, 1]. */
int eval_parse_ious(const char *text, void *value, struct frcnn_error *err);

struct eval_areas {
	struct frcnn_eval_area items[FRCNN_EVAL_MAX_AREAS]; /* the first is "all" */
	int count;                                          /* 0: not given */
};
/* struct eval_areas *: "small=0:1024,large=9216:" (closed; nothing after ':' is 1e10). */
int eval_parse_areas(const char *text, void *value, struct frcnn_error *err);

struct eval_max_dets {
	int values[FRCNN_EVAL_MAX_DETS];
	int count; /* 0: not given */
};
/* struct eval_max_dets *: ascending; one number N: those of 1 and 10 below N, then N. */
int eval_parse_max_dets(const char *text, void *value, struct frcnn_error *err);

struct eval_gates {
	struct frcnn_gate *items;
	size_t count, capacity;
};
/* struct eval_gates *: adds one. */
int eval_parse_min(const char *text, void *value, struct frcnn_error *err);
int eval_parse_max(const char *text, void *value, struct frcnn_error *err); /* frcnn-quantize */
int eval_parse_max_drop(const char *text, void *value, struct frcnn_error *err);
void eval_gates_free(struct eval_gates *gates);

#endif
