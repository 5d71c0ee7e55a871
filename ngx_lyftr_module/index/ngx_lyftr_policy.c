#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


static ngx_lyftr_segment_t *ngx_lyftr_policy_level(ngx_lyftr_index_t *index,
    ngx_lyftr_policy_t *policy);
static ngx_lyftr_segment_t *ngx_lyftr_policy_closed(ngx_lyftr_index_t *index,
    ngx_lyftr_policy_t *policy);
static ngx_uint_t ngx_lyftr_policy_together(ngx_lyftr_policy_t *policy,
    ngx_lyftr_segment_t *one, ngx_lyftr_segment_t *two);
static ngx_uint_t ngx_lyftr_policy_small(ngx_lyftr_index_t *index,
    ngx_lyftr_policy_t *policy, ngx_lyftr_segment_t *from, ngx_uint_t n);


ngx_lyftr_segment_t *
ngx_lyftr_policy_merge(ngx_lyftr_index_t *index, ngx_lyftr_policy_t *policy)
{
    ngx_lyftr_segment_t  *from;

    from = ngx_lyftr_policy_level(index, policy);

    return from || policy->apart == NULL
           ? from : ngx_lyftr_policy_closed(index, policy);
}


/* as many neighbours of one level become one of the next */

static ngx_lyftr_segment_t *
ngx_lyftr_policy_level(ngx_lyftr_index_t *index, ngx_lyftr_policy_t *policy)
{
    ngx_uint_t            i, n;
    ngx_lyftr_segment_t  *s;

    s = index->segments;
    policy->n = NGX_LYFTR_FANOUT;

    for (i = 0, n = 1; i + 1 < index->nsegments; i++) {

        n = s[i].level == s[i + 1].level
            && s[i].level < NGX_LYFTR_LEVELS
            && ngx_lyftr_policy_together(policy, &s[i], &s[i + 1]) ? n + 1 : 1;

        if (n < NGX_LYFTR_FANOUT) {
            continue;
        }

        if (ngx_lyftr_policy_small(index, policy, &s[i + 2 - n], n)) {
            return &s[i + 2 - n];
        }

        n--;
    }

    return NULL;
}


/* the last ones before those that stay apart, of whatever levels */

static ngx_lyftr_segment_t *
ngx_lyftr_policy_closed(ngx_lyftr_index_t *index, ngx_lyftr_policy_t *policy)
{
    ngx_uint_t            i, n;
    ngx_lyftr_segment_t  *s;

    s = index->segments;

    for (i = 0, n = 1; i + 1 < index->nsegments; i++) {

        if (ngx_lyftr_policy_together(policy, &s[i], &s[i + 1])) {
            n = ngx_min(n + 1, NGX_LYFTR_FANOUT);
            continue;
        }

        policy->n = n;

        if (n > 1
            && policy->apart(policy->data, &s[i], &s[i + 1])
            && ngx_lyftr_policy_small(index, policy, &s[i + 1 - n], n))
        {
            return &s[i + 1 - n];
        }

        n = 1;
    }

    return NULL;
}


static ngx_uint_t
ngx_lyftr_policy_together(ngx_lyftr_policy_t *policy, ngx_lyftr_segment_t *one,
    ngx_lyftr_segment_t *two)
{
    return one->ties == two->ties
           && one->id >= policy->from
           && two->id >= policy->from
           && one->first >= policy->after
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
    ngx_lyftr_segment_t *from, ngx_uint_t n)
{
    int64_t     rows, all;
    ngx_uint_t  i;

    for (i = 0, rows = 0; i < n; i++) {
        rows += from[i].rows;
    }

    for (i = 0, all = 0; i < index->nsegments; i++) {
        all += index->segments[i].rows;
    }

    return rows <= all / policy->share;
}
