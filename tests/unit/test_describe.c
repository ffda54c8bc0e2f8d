/* What a model file is taken for: architecture from its tensors, defaults, metadata, options. */
#include "model/model.h"

#include <criterion/criterion.h>
#include <math.h>

#define MODELS "tests/golden/models/"

static struct frcnn_model *must_open(const char *path, const struct frcnn_model_options *options)
{
	struct frcnn_model *model = NULL;
	struct frcnn_error err = {0};

	cr_assert_eq(frcnn_model_open(path, options, &model, &err), 0, "%s", err.message);
	return model;
}

static void must_fail(const char *path, const struct frcnn_model_options *options, int status, const char *first,
		      const char *second)
{
	struct frcnn_model *model = NULL;
	struct frcnn_error err = {0};

	cr_assert_eq(frcnn_model_open(path, options, &model, &err), status, "%d: %s", err.status, err.message);
	cr_assert_null(model);
	cr_assert(strstr(err.message, path), "\"%s\" does not name the file", err.message);
	cr_assert(strstr(err.message, first) && strstr(err.message, second), "\"%s\" does not name %s and %s",
		  err.message, first, second);
}

Test(describe, every_architecture_is_known_by_its_tensors)
{
	static const struct {
		const char *name, *taken_for;
		enum frcnn_body body;
		int depth;
		bool v2;
		int labels, levels, anchors;
	} cases[] = {
	    {"fasterrcnn_resnet18_fpn", NULL, FRCNN_BODY_RESNET, 18, false, 5, 5, 3},
	    {"fasterrcnn_resnet34_fpn", NULL, FRCNN_BODY_RESNET, 34, false, 3, 5, 3},
	    {"fasterrcnn_resnet50_fpn", NULL, FRCNN_BODY_RESNET, 50, false, 91, 5, 3},
	    {"fasterrcnn_resnet101_fpn", NULL, FRCNN_BODY_RESNET, 101, false, 4, 5, 3},
	    {"fasterrcnn_resnet152_fpn", NULL, FRCNN_BODY_RESNET, 152, false, 7, 5, 3},
	    {"fasterrcnn_resnet50_fpn_v2", NULL, FRCNN_BODY_RESNET, 50, true, 6, 5, 3},
	    {"fasterrcnn_mobilenet_v3_large_fpn", NULL, FRCNN_BODY_MOBILENET_V3_LARGE, 0, false, 5, 3, 15},
	    /* the same tensors: only --arch or a known file tells */
	    {"fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_fpn",
	     FRCNN_BODY_MOBILENET_V3_LARGE, 0, false, 5, 3, 15},
	};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		char path[128], id[128];
		struct frcnn_model *model;
		const struct frcnn_description *d;

		snprintf(path, sizeof path, MODELS "%s.safetensors", cases[i].name);
		model = must_open(path, NULL);
		d = &model->description;
		cr_assert_str_eq(frcnn_model_architecture(model),
				 cases[i].taken_for ? cases[i].taken_for : cases[i].name);
		cr_assert_eq(d->body, cases[i].body);
		cr_assert_eq(d->depth, cases[i].depth);
		cr_assert_eq(d->v2, cases[i].v2);
		cr_assert_eq(frcnn_model_labels(model), cases[i].labels);
		cr_assert_eq(d->nlevels, cases[i].levels);
		cr_assert_eq(d->anchors_per_cell, cases[i].anchors);
		snprintf(id, sizeof id, "%s@%.12s", cases[i].name, model->checkpoint.sha256);
		cr_assert_str_eq(frcnn_model_id(model), id);
		cr_assert_eq(strlen(model->checkpoint.sha256), 64);
		frcnn_model_close(model);
	}
}

Test(describe, resnet_has_torchvision_s_defaults)
{
	struct frcnn_model *model = must_open(MODELS "fasterrcnn_resnet18_fpn.safetensors", NULL);
	const struct frcnn_description *d = &model->description;

	cr_assert(d->min_size == 800 && d->max_size == 1333);
	cr_assert(d->mean[0] == 0.485F && d->mean[1] == 0.456F && d->mean[2] == 0.406F);
	cr_assert(d->std[0] == 0.229F && d->std[1] == 0.224F && d->std[2] == 0.225F);
	cr_assert(d->bn_eps == 1e-5);
	for (int i = 0; i < 5; i++) {
		const struct frcnn_anchor_level *level = &d->anchors[i];

		cr_assert(level->nsizes == 1 && level->nratios == 3);
		cr_assert(level->sizes[0] == (float)(32 << i));
		cr_assert(level->ratios[0] == 0.5F && level->ratios[1] == 1.0F && level->ratios[2] == 2.0F);
	}
	cr_assert(d->rpn_pre == 1000 && d->rpn_post == 1000 && d->rpn_nms == 0.7 && d->rpn_score == 0.0);
	cr_assert(d->score == 0.05 && d->nms == 0.5 && d->max_dets == 100);
	frcnn_model_close(model);
}

Test(describe, mobilenets_differ_in_defaults_alone)
{
	struct frcnn_model_options options;
	struct frcnn_model *large = must_open(MODELS "fasterrcnn_mobilenet_v3_large_fpn.safetensors", NULL), *small;

	frcnn_model_options_init(&options);
	options.arch = "fasterrcnn_mobilenet_v3_large_320_fpn";
	small = must_open(MODELS "fasterrcnn_mobilenet_v3_large_320_fpn.safetensors", &options);
	cr_assert_str_eq(frcnn_model_architecture(small), options.arch);
	cr_assert(large->description.min_size == 800 && large->description.max_size == 1333);
	cr_assert(large->description.rpn_pre == 1000 && large->description.rpn_post == 1000);
	cr_assert(large->description.rpn_score == 0.05);
	cr_assert(small->description.min_size == 320 && small->description.max_size == 640);
	cr_assert(small->description.rpn_pre == 150 && small->description.rpn_post == 150);
	cr_assert(small->description.rpn_score == 0.05);
	for (int i = 0; i < 3; i++) {
		const struct frcnn_anchor_level *level = &small->description.anchors[i];

		cr_assert(level->nsizes == 5 && level->nratios == 3);
		for (int k = 0; k < 5; k++)
			cr_assert(level->sizes[k] == (float)(32 << k));
	}
	frcnn_model_close(large);
	frcnn_model_close(small);
}

/* A released file's weights are not at hand: the checkpoint is given its digest. */
Test(describe, released_files_are_known_by_digest)
{
	static const struct {
		const char *file, *digest, *architecture;
		double bn_eps;
		int min_size;
	} cases[] = {
	    {"fasterrcnn_resnet50_fpn", "258fb6c6", "fasterrcnn_resnet50_fpn", 0.0, 800},
	    {"fasterrcnn_resnet50_fpn", "258fb6c7", "fasterrcnn_resnet50_fpn", 1e-5, 800},
	    {"fasterrcnn_resnet50_fpn_v2", "dd69338a", "fasterrcnn_resnet50_fpn_v2", 1e-5, 800},
	    {"fasterrcnn_mobilenet_v3_large_fpn", "fb6a3cc7", "fasterrcnn_mobilenet_v3_large_fpn", 1e-5, 800},
	    {"fasterrcnn_mobilenet_v3_large_fpn", "907ea3f9", "fasterrcnn_mobilenet_v3_large_320_fpn", 1e-5, 320},
	};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct frcnn_checkpoint checkpoint;
		struct frcnn_description d;
		struct frcnn_error err = {0};
		char path[128];

		snprintf(path, sizeof path, MODELS "%s.safetensors", cases[i].file);
		cr_assert_eq(frcnn_checkpoint_open(path, NULL, &checkpoint, &err), 0, "%s", err.message);
		memcpy(checkpoint.sha256, cases[i].digest, 8);
		cr_assert_eq(frcnn_describe(&checkpoint, path, NULL, &d, &err), 0, "%s", err.message);
		cr_assert_str_eq(d.architecture, cases[i].architecture);
		cr_assert(d.bn_eps == cases[i].bn_eps);
		cr_assert_eq(d.min_size, cases[i].min_size);
		frcnn_description_free(&d);
		frcnn_checkpoint_close(&checkpoint);
	}
}

Test(describe, ninety_one_labels_are_coco)
{
	struct frcnn_model *coco = must_open(MODELS "fasterrcnn_resnet50_fpn.safetensors", NULL);
	struct frcnn_model *other = must_open(MODELS "fasterrcnn_resnet34_fpn.safetensors", NULL);
	static const int gaps[] = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83};
	int unnamed = 0;

	cr_assert_str_eq(frcnn_model_label_name(coco, 1), "person");
	cr_assert_str_eq(frcnn_model_label_name(coco, 13), "stop sign");
	cr_assert_str_eq(frcnn_model_label_name(coco, 44), "bottle");
	cr_assert_str_eq(frcnn_model_label_name(coco, 67), "dining table");
	cr_assert_str_eq(frcnn_model_label_name(coco, 90), "toothbrush");
	for (int label = 1; label < 91; label++) {
		cr_assert_eq(frcnn_model_label_category(coco, label), label);
		unnamed += frcnn_model_label_name(coco, label) == NULL;
	}
	cr_assert_eq(unnamed, 10);
	for (size_t i = 0; i < FRCNN_COUNT(gaps); i++)
		cr_assert_null(frcnn_model_label_name(coco, gaps[i]));
	cr_assert_null(frcnn_model_label_name(coco, 91));
	cr_assert_null(frcnn_model_label_name(coco, -1));
	cr_assert_null(frcnn_model_label_name(other, 1));
	cr_assert_eq(frcnn_model_label_category(other, 2), 2);
	frcnn_model_close(coco);
	frcnn_model_close(other);
}

Test(describe, options_override)
{
	static const float mean[3] = {0.1F, 0.2F, 0.3F}, std[3] = {1.0F, 2.0F, 3.0F};
	static const char *const labels[] = {"one", "two"};
	struct frcnn_model_options options;
	struct frcnn_model *model;
	const struct frcnn_description *d;

	frcnn_model_options_init(&options);
	options.anchor_sizes = "8,16+24,48,96,192.5";
	options.aspect_ratios = "1,2,3/0.5/1,2,3/1,2,3/1,2,3";
	options.mean = mean;
	options.std = std;
	options.bn_eps = 0;
	options.min_size = 60;
	options.max_size = 90;
	options.labels = labels;
	options.nlabels = 2;
	/* 2 sizes x 1 ratio on level 1 where the tensors have 3 anchors */
	must_fail(MODELS "fasterrcnn_resnet34_fpn.safetensors", &options, FRCNN_EINVAL, "level 1", "imply 3");
	options.aspect_ratios = "1";
	options.anchor_sizes = "8+9+10,16+17+18,3+4+5,6+7+8,192.5+1+2";
	model = must_open(MODELS "fasterrcnn_resnet34_fpn.safetensors", &options);
	d = &model->description;
	cr_assert(d->anchors[0].nsizes == 3 && d->anchors[0].nratios == 1);
	cr_assert(d->anchors[0].sizes[2] == 10.0F && d->anchors[4].sizes[0] == 192.5F);
	cr_assert(d->anchors[3].ratios[0] == 1.0F);
	cr_assert(d->mean[1] == 0.2F && d->std[2] == 3.0F && d->bn_eps == 0.0);
	cr_assert(d->min_size == 60 && d->max_size == 90);
	cr_assert_str_eq(frcnn_model_label_name(model, 2), "two");
	cr_assert_str_eq(d->label_names[0], "background");
	frcnn_model_close(model);
}

Test(describe, bad_options_are_named)
{
	static const char path[] = MODELS "fasterrcnn_resnet34_fpn.safetensors";
	static const struct {
		const char *sizes, *ratios, *first, *second;
	} anchors[] = {
	    {"32,64", NULL, "2 levels", "has 5"},
	    {"32,64,128,256,512,1024", NULL, "6 levels", "has 5"},
	    {"32,64,128,256,x", NULL, "anchor sizes", "\"x\""},
	    {"32,64,128,256,", NULL, "anchor sizes", "\"\""},
	    {"32,64,128,256,-1", NULL, "anchor sizes", "\"-1\""},
	    {"32,64,128,256,1e9", NULL, "anchor sizes", "\"1e9\""},
	    {"1+2+3+4+5+6+7+8+9+10+11+12+13+14+15+16+17,1,1,1,1", NULL, "anchor sizes", "more than 16"},
	    {NULL, "0.5,1", "2 aspect ratios", "imply 3"},
	    {NULL, "0.5,1,2/1", "2 levels", "has 5"},
	    {NULL, "0.5,1,nan", "aspect ratios", "\"nan\""},
	    {"32+40,64+80,128+160,256+320,512+640", NULL, "6 anchors a cell", "imply 3"},
	};
	static const char *const labels[] = {"one", "two", "three"};
	static const float zero[3] = {1.0F, 0.0F, 1.0F}, nan3[3] = {NAN, 0.0F, 0.0F}, large[3] = {1.0F, 1.1e6F, 1.0F};
	char long_name[FRCNN_MAX_LABEL_NAME + 2] = "";
	const char *const no_lines[] = {"", "a\nb", "\x1b[1m", "a\xC2\x9B", "\xFF", long_name};
	struct frcnn_model_options options;

	for (size_t i = 0; i < FRCNN_COUNT(anchors); i++) {
		int status = strstr(anchors[i].second, "more than") ? FRCNN_ELIMIT : FRCNN_EINVAL;

		frcnn_model_options_init(&options);
		options.anchor_sizes = anchors[i].sizes;
		options.aspect_ratios = anchors[i].ratios;
		must_fail(path, &options, status, anchors[i].first, anchors[i].second);
	}
	frcnn_model_options_init(&options);
	options.arch = "fasterrcnn_resnet18_fpn";
	must_fail(path, &options, FRCNN_EINVAL, "fasterrcnn_resnet34_fpn", "fasterrcnn_resnet18_fpn");
	options.arch = "fasterrcnn_resnet99_fpn";
	must_fail(path, &options, FRCNN_EINVAL, "unknown architecture", "resnet99");
	frcnn_model_options_init(&options);
	options.labels = labels;
	options.nlabels = 3;
	must_fail(path, &options, FRCNN_EINVAL, "3 label names", "2 classes");
	/* what the metadata of a converted model could not hold */
	memset(long_name, 'x', sizeof long_name - 1);
	for (size_t i = 0; i < FRCNN_COUNT(no_lines); i++) {
		const char *pair[] = {"one", no_lines[i]};

		options.labels = pair;
		options.nlabels = 2;
		must_fail(path, &options, FRCNN_EINVAL, "label 2", "line");
	}
	frcnn_model_options_init(&options);
	options.std = zero;
	must_fail(path, &options, FRCNN_EINVAL, "std", "1e-6");
	options.std = large;
	must_fail(path, &options, FRCNN_EINVAL, "std", "1e6");
	frcnn_model_options_init(&options);
	options.mean = nan3;
	must_fail(path, &options, FRCNN_EINVAL, "mean", "1e6");
	options.mean = large;
	must_fail(path, &options, FRCNN_EINVAL, "mean", "1e6");
	frcnn_model_options_init(&options);
	options.bn_eps = NAN;
	must_fail(path, &options, FRCNN_EINVAL, "batch norm eps", "0 to 1");
	frcnn_model_options_init(&options);
	options.min_size = 70000;
	must_fail(path, &options, FRCNN_EINVAL, "70000", "65535");
}

Test(describe, what_is_no_detector_is_refused)
{
	must_fail(MODELS "roi_levels.stages.safetensors", NULL, FRCNN_EUNSUPPORTED, "no Faster R-CNN",
		  "backbone.body.conv1.weight");
}

/* A checkpoint made here, tensors all of shape [3, 2, 1, 1] but the class scores; no data is needed to describe it. */
static int describe_made(const char *const *names, size_t count, const char *metadata, struct frcnn_description *d,
			 struct frcnn_error *err)
{
	struct frcnn_tensor tensors[64] = {0};
	struct frcnn_checkpoint checkpoint = {.tensors = tensors, .ntensors = count, .metadata = (char *)metadata};

	for (size_t i = 0; i < count; i++) {
		tensors[i].name = names[i];
		tensors[i].ndim = strstr(names[i], "cls_score") ? 2 : 4;
		tensors[i].shape[0] = 3;
		tensors[i].shape[1] = 2;
		tensors[i].shape[2] = tensors[i].shape[3] = 1;
		tensors[i].elements = 6;
	}
	return frcnn_describe(&checkpoint, "dir/made.one.pth", NULL, d, err);
}

static const char *const resnet18_names[] = {
    "backbone.body.conv1.weight",          "backbone.body.layer1.0.conv1.weight",
    "backbone.body.layer1.1.conv1.weight", "backbone.body.layer2.0.conv1.weight",
    "backbone.body.layer2.1.conv1.weight", "backbone.body.layer3.0.conv1.weight",
    "backbone.body.layer3.1.conv1.weight", "backbone.body.layer4.0.conv1.weight",
    "backbone.body.layer4.1.conv1.weight", "roi_heads.box_predictor.cls_score.weight",
    "rpn.head.cls_logits.weight"};

Test(describe, unknown_bodies_are_refused)
{
	static const char *const v2_of_18[] = {"backbone.body.conv1.weight",
					       "backbone.body.layer1.0.conv1.weight",
					       "backbone.body.layer1.1.conv1.weight",
					       "backbone.body.layer2.0.conv1.weight",
					       "backbone.body.layer2.1.conv1.weight",
					       "backbone.body.layer3.0.conv1.weight",
					       "backbone.body.layer3.1.conv1.weight",
					       "backbone.body.layer4.0.conv1.weight",
					       "backbone.body.layer4.1.conv1.weight",
					       "backbone.fpn.inner_blocks.0.1.weight",
					       "roi_heads.box_predictor.cls_score.weight",
					       "rpn.head.cls_logits.weight"};
	struct frcnn_description d;
	struct frcnn_error err;

	cr_assert_eq(describe_made(resnet18_names, 11, NULL, &d, &err), 0, "%s", err.message);
	cr_assert_str_eq(d.name, "made.one");
	cr_assert_str_eq(d.id, "made.one");
	frcnn_description_free(&d);
	/* the last block gone; the class scores gone; V2's norms on a ResNet-18 */
	cr_assert_eq(describe_made(resnet18_names, 8, NULL, &d, &err), FRCNN_EUNSUPPORTED);
	cr_assert(strstr(err.message, "2, 2, 2 and 1 basic blocks"), "%s", err.message);
	cr_assert_eq(describe_made(resnet18_names, 9, NULL, &d, &err), FRCNN_EFORMAT);
	cr_assert(strstr(err.message, "cls_score.weight is missing"), "%s", err.message);
	cr_assert_eq(describe_made(v2_of_18, 12, NULL, &d, &err), FRCNN_EUNSUPPORTED);
	cr_assert(strstr(err.message, "batch norm"), "%s", err.message);
}

Test(metadata, written_and_read_is_the_same)
{
	static const char *const names[] = {"caf\xC3\xA9 \"x\" \\", NULL};
	static const int64_t categories[] = {-7, 9007199254740992};
	struct frcnn_description d, back;
	struct frcnn_buffer text = {0}, again = {0};
	struct frcnn_error err = {0};

	cr_assert_eq(describe_made(resnet18_names, 11, NULL, &d, &err), 0, "%s", err.message);
	snprintf(d.name, sizeof d.name, "a name");
	d.min_size = 480;
	d.max_size = 801;
	d.mean[1] = 0.1F;
	d.std[0] = 1.0F / 3.0F;
	d.bn_eps = 1e-3;
	for (int i = 0; i < 5; i++) {
		d.anchors[i].nsizes = 3;
		d.anchors[i].nratios = 1;
		d.anchors[i].sizes[0] = 33.3F;
		d.anchors[i].sizes[1] = 1e-3F;
		d.anchors[i].sizes[2] = 16777216.0F / 17.0F;
		d.anchors[i].ratios[0] = 1.0F / 3.0F;
	}
	d.rpn_pre = 11;
	d.rpn_post = 12;
	d.rpn_nms = 0.1 + 0.2;
	d.rpn_score = 0.01;
	d.score = 0.25;
	d.nms = 0.45;
	d.max_dets = 13;
	d.provenance = frcnn_strdup("{\"note\":\"made \\u0001 here\",\"n\":[1,0.30000000000000004,1e400]}");
	cr_assert_eq(frcnn_describe_labels(&d, names, categories, 2, &err), 0);
	cr_assert_eq(frcnn_metadata_write(&d, &text, &err), 0, "%s", err.message);

	cr_assert_eq(describe_made(resnet18_names, 11, text.data, &back, &err), 0, "%s", err.message);
	cr_assert_str_eq(back.name, d.name);
	cr_assert(back.min_size == 480 && back.max_size == 801 && back.bn_eps == 1e-3);
	cr_assert_arr_eq(back.mean, d.mean, sizeof d.mean);
	cr_assert_arr_eq(back.std, d.std, sizeof d.std);
	for (int i = 0; i < 5; i++) {
		cr_assert(back.anchors[i].nsizes == 3 && back.anchors[i].nratios == 1);
		cr_assert_arr_eq(back.anchors[i].sizes, d.anchors[i].sizes, 3 * sizeof(float));
		cr_assert(back.anchors[i].ratios[0] == d.anchors[i].ratios[0]);
	}
	cr_assert(back.rpn_pre == 11 && back.rpn_post == 12 && back.rpn_nms == 0.1 + 0.2 && back.rpn_score == 0.01);
	cr_assert(back.score == 0.25 && back.nms == 0.45 && back.max_dets == 13);
	cr_assert_str_eq(back.label_names[1], names[0]);
	cr_assert_null(back.label_names[2]);
	cr_assert_eq(back.label_categories[1], -7);
	cr_assert_eq(back.label_categories[2], 9007199254740992);
	cr_assert_str_eq(back.provenance, d.provenance);
	cr_assert_eq(frcnn_metadata_write(&back, &again, &err), 0);
	cr_assert_str_eq(again.data, text.data);
	frcnn_buffer_free(&text);
	frcnn_buffer_free(&again);
	frcnn_description_free(&d);
	frcnn_description_free(&back);
}

Test(metadata, what_it_leaves_out_has_defaults)
{
	struct frcnn_description d;
	struct frcnn_error err = {0};

	cr_assert_eq(describe_made(resnet18_names, 11, "{\"min_size\":480,\"later\":{}}", &d, &err), 0, "%s",
		     err.message);
	cr_assert(d.min_size == 480 && d.max_size == 1333 && d.rpn_pre == 1000);
	cr_assert_str_eq(d.name, "made.one");
	frcnn_description_free(&d);
}

Test(metadata, faults_are_named)
{
	static const struct {
		const char *text, *part;
		int status;
	} cases[] = {
	    {"", "metadata: ", FRCNN_EFORMAT},
	    {"{\"min_size\":480", "metadata: ", FRCNN_EFORMAT},
	    {"{} x", "metadata: ", FRCNN_EFORMAT},
	    {"{\"nms\":0.1,\"nms\":0.2}", "\"nms\" stands there twice", FRCNN_EFORMAT},
	    {"[]", "object", FRCNN_EFORMAT},
	    {"{\"format\":2}", "format 2", FRCNN_EUNSUPPORTED},
	    {"{\"min_size\":\"480\"}", "\"min_size\"", FRCNN_EFORMAT},
	    {"{\"min_size\":0}", "\"min_size\"", FRCNN_EFORMAT},
	    {"{\"min_size\":480.5}", "\"min_size\"", FRCNN_EFORMAT},
	    {"{\"max_size\":1e999}", "\"max_size\"", FRCNN_EFORMAT},
	    {"{\"mean\":[0,0]}", "\"mean\"", FRCNN_EFORMAT},
	    {"{\"mean\":[0,0,0,0]}", "\"mean\"", FRCNN_EFORMAT},
	    {"{\"std\":[1,0,1]}", "\"std\"", FRCNN_EFORMAT},
	    {"{\"bn_eps\":-1}", "\"bn_eps\"", FRCNN_EFORMAT},
	    {"{\"anchor_sizes\":[[32]]}", "1 levels", FRCNN_EFORMAT},
	    {"{\"anchor_sizes\":[[32],[64],[],[1],[2]]}", "empty level", FRCNN_EFORMAT},
	    {"{\"anchor_sizes\":[32,64,128,256,512]}", "\"anchor_sizes\"", FRCNN_EFORMAT},
	    {"{\"anchor_sizes\":[[1,2],[64],[1],[1],[2]]}", "imply 3", FRCNN_EINVAL},
	    {"{\"aspect_ratios\":[[1,2,-3],[1],[1],[1],[2]]}", "\"aspect_ratios\"", FRCNN_EFORMAT},
	    {"{\"rpn_pre\":0}", "\"rpn_pre\"", FRCNN_EFORMAT},
	    {"{\"nms\":1.5}", "\"nms\"", FRCNN_EFORMAT},
	    {"{\"name\":\"\"}", "\"name\"", FRCNN_EFORMAT},
	    {"{\"name\":\"a\\nb\"}", "\"name\"", FRCNN_EFORMAT},
	    {"{\"name\":\"\xFF\"}", "UTF-8", FRCNN_EFORMAT},
	    {"{\"labels\":[{\"id\":1}]}", "1 entries", FRCNN_EFORMAT},
	    {"{\"labels\":[{\"id\":1},{\"id\":1.5}]}", "entry 2", FRCNN_EFORMAT},
	    {"{\"labels\":[{\"id\":1},{\"id\":\"x\"}]}", "entry 2", FRCNN_EFORMAT},
	    {"{\"labels\":[{\"id\":1},7]}", "entry 2", FRCNN_EFORMAT},
	    /* 2^53 + 1 would become 2^53 */
	    {"{\"labels\":[{\"id\":1},{\"id\":9007199254740993}]}", "entry 2", FRCNN_EFORMAT},
	    {"{\"labels\":[{\"id\":1},{\"id\":-9007199254740992}]}", "entry 2", FRCNN_EFORMAT},
	    {"{\"labels\":[{\"id\":1,\"name\":\"\xC2\x9B\"},{\"id\":2}]}", "entry 1", FRCNN_EFORMAT},
	    {"{\"labels\":[{\"id\":1,\"name\":5},{\"id\":2}]}", "entry 1", FRCNN_EFORMAT},
	    {"{\"provenance\":\"x\"}", "\"provenance\"", FRCNN_EFORMAT},
	    {"{\"architecture\":5}", "\"architecture\"", FRCNN_EFORMAT},
	    {"{\"architecture\":\"fasterrcnn_resnet34_fpn\"}", "not of fasterrcnn_resnet34_fpn", FRCNN_EINVAL},
	};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct frcnn_description d;
		struct frcnn_error err = {0};

		cr_assert_eq(describe_made(resnet18_names, 11, cases[i].text, &d, &err), cases[i].status, "%s: %s",
			     cases[i].text, err.message);
		cr_assert(strstr(err.message, "dir/made.one.pth: ") == err.message, "%s", err.message);
		cr_assert(strstr(err.message, cases[i].part), "%s: \"%s\"", cases[i].text, err.message);
		cr_assert_null(d.label_names);
	}
}

Test(describe, the_shipped_model)
{
	static const char *const names[] = {"bolt", "nut", "washer", "gear", "spring"};
	struct frcnn_model *model = must_open("share/models/parts-r18.safetensors", NULL);
	const struct frcnn_description *d = &model->description;

	cr_assert_str_eq(d->name, "parts-r18");
	cr_assert(strncmp(frcnn_model_id(model), "parts-r18@", 10) == 0 && strlen(frcnn_model_id(model)) == 22);
	cr_assert_str_eq(frcnn_model_architecture(model), "fasterrcnn_resnet18_fpn");
	cr_assert(d->min_size == 480 && d->max_size == 800 && d->bn_eps == 1e-5 && d->nlabels == 6);
	for (int i = 0; i < 5; i++) {
		cr_assert_str_eq(frcnn_model_label_name(model, i + 1), names[i]);
		cr_assert_eq(frcnn_model_label_category(model, i + 1), i + 1);
	}
	cr_assert_not_null(d->provenance);
	frcnn_model_close(model);
}

Test(describe, a_trained_checkpoint)
{
	const char *data = getenv("FRCNN_DATA");
	struct frcnn_model *model;
	char path[1024];

	if (!data)
		cr_skip_test("FRCNN_DATA is not set");
	snprintf(path, sizeof path, "%s/bccd/fasterrcnn_resnet50_fpn_bccd.pth", data);
	model = must_open(path, NULL);
	cr_assert_str_eq(frcnn_model_architecture(model), "fasterrcnn_resnet50_fpn");
	cr_assert_eq(frcnn_model_labels(model), 4);
	cr_assert(strncmp(frcnn_model_id(model), "fasterrcnn_resnet50_fpn_bccd@", 29) == 0);
	frcnn_model_close(model);
}
