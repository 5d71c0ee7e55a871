#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


static ngx_uint_t ngx_lyftr_policy_together(ngx_lyftr_policy_t *policy,
    ngx_lyftr_segment_t *one, ngx_lyftr_segment_t *two);
static ngx_uint_t ngx_lyftr_policy_small(ngx_lyftr_index_t *index,
    ngx_lyftr_policy_t *policy, ngx_lyftr_segment_t *from);


/* as many neighbours of one level become one of the next */

ngx_lyftr_segment_t *
ngx_lyftr_policy_merge(ngx_lyftr_index_t *index, ngx_lyftr_policy_t *policy)
{
    ngx_uint_t            i, n;
    ngx_lyftr_segment_t  *s;

    s = index->segments;

    for (i = 0, n = 1; i + 1 < index->nsegments; i++) {

        n = ngx_lyftr_policy_together(policy, &s[i], &s[i + 1]) ? n + 1 : 1;

        if (n < NGX_LYFTR_FANOUT) {
            continue;
        }

        if (ngx_lyftr_policy_small(index, policy, &s[i + 2 - n])) {
            return &s[i + 2 - n];
        }

        n--;
    }

    return NULL;
}


static ngx_uint_t
ngx_lyftr_policy_together(ngx_lyftr_policy_t *policy, ngx_lyftr_segment_t *one,
    ngx_lyftr_segment_t *two)
{
    return one->level == two->level
           && one->level < NGX_LYFTR_LEVELS
           && one->ties == two->ties
           && one->id >= policy->from
           && two->id >= policy->from
           && (policy->apart == NULL
               || !policy->apart(policy->data, one, two));
}


/*
 * What a merge reads stays in the file until it is done, and then as free pages
 * until something else takes them.  So those of most rows wait until there are
 * more of them: the file is not much larger than what is in it.
 */

static ngx_uint_t
ngx_lyftr_policy_small(ngx_lyftr_index_t *index, ngx_lyftr_policy_t *policy,
    ngx_lyftr_segment_t *from)
{
    int64_t     rows, all;
    ngx_uint_t  i;

    for (i = 0, rows = 0; i < NGX_LYFTR_FANOUT; i++) {
        rows += from[i].rows;
    }

    for (i = 0, all = 0; i < index->nsegments; i++) {
        all += index->segments[i].rows;
    }

    return rows <= all / policy->share;
}
