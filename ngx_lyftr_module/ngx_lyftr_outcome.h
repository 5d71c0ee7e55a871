#ifndef _NGX_LYFTR_OUTCOME_H_INCLUDED_
#define _NGX_LYFTR_OUTCOME_H_INCLUDED_


#include <ngx_lyftr.h>


/* ngx_lyftr_outcome.c: of a request that is being logged */

/* NONE if it is not for a webhook */
ngx_lyftr_result_e ngx_lyftr_outcome_result(ngx_http_request_t *r);

ngx_uint_t ngx_lyftr_outcome_status(ngx_http_request_t *r);

/* microseconds since the request came */
uint64_t ngx_lyftr_outcome_latency(ngx_http_request_t *r);

extern ngx_str_t  ngx_lyftr_results[];


#endif /* _NGX_LYFTR_OUTCOME_H_INCLUDED_ */
