/* The two networks of a detector, built from an open model. */
#include "graph/graph.h"

void frcnn_graphs_free(struct frcnn_graphs *graphs)
{
	if (!graphs)
		return;
	frcnn_graph_free(&graphs->features);
	frcnn_graph_free(&graphs->head);
}

static void build_features(struct frcnn_builder *b, struct frcnn_graphs *out)
{
	int stages[4], levels[FRCNN_MAX_LEVELS], rpn[FRCNN_MAX_LEVELS];
	int x = frcnn_build_input(b, 3);
	int n = b->description->body == FRCNN_BODY_RESNET ? frcnn_build_resnet(b, x, stages)
							  : frcnn_build_mobilenet_v3(b, x, stages);

	out->nfeatures = n;
	out->nlevels = frcnn_build_fpn(b, stages, n, levels);
	frcnn_build_rpn_head(b, levels, out->nlevels, rpn);
	for (int i = 0; i < n; i++)
		frcnn_build_output(b, levels[i]);
	for (int i = 0; i < out->nlevels; i++)
		frcnn_build_output(b, rpn[i]);
	if (!b->status && out->nlevels != b->description->nlevels)
		b->status =
		    frcnn_fail(b->err, FRCNN_EFORMAT, "the feature pyramid has %d levels, anchors are given for %d",
			       out->nlevels, b->description->nlevels);
}

static bool is_counter(const char *name)
{
	static const char tail[] = ".num_batches_tracked";
	size_t n = strlen(name);

	return n >= sizeof tail - 1 && !memcmp(name + n - (sizeof tail - 1), tail, sizeof tail - 1);
}

int frcnn_graphs_build(const struct frcnn_model *model, bool fuse, struct frcnn_graphs *out, struct frcnn_error *err)
{
	const struct frcnn_checkpoint *c = &model->checkpoint;
	struct frcnn_builder b = {
	    .graph = &out->features, .checkpoint = c, .description = &model->description, .err = err};

	memset(out, 0, sizeof *out);
	out->roi_size = 7;
	b.used = frcnn_calloc(c->ntensors, sizeof *b.used);
	if (!b.used)
		return frcnn_fail_nomem(err);
	build_features(&b, out);
	if (!b.status) {
		int channels = out->features.nodes[out->features.outputs[0]].channels;

		b.graph = &out->head;
		frcnn_build_output(&b, frcnn_build_box_head(&b, frcnn_build_input(&b, channels), out->roi_size));
	}
	for (size_t i = 0; i < c->ntensors && !b.status; i++)
		if (!b.used[i] && !is_counter(c->tensors[i].name))
			b.status = frcnn_fail(err, FRCNN_EFORMAT, "tensor %s has no place in %s", c->tensors[i].name,
					      model->description.architecture);
	free(b.used);
	if (b.status) {
		frcnn_graphs_free(out);
		return b.status;
	}
	if (fuse) {
		frcnn_graph_fold(&out->features);
		frcnn_graph_fuse(&out->features);
		frcnn_graph_fold(&out->head);
		frcnn_graph_fuse(&out->head);
	}
	return 0;
}

int frcnn_model_check(const struct frcnn_model *model, struct frcnn_error *err)
{
	struct frcnn_graphs graphs;
	int status = frcnn_graphs_build(model, false, &graphs, err);

	if (!status)
		frcnn_graphs_free(&graphs);
	return status;
}
