#ifndef _NGX_LYFTR_OUTCOME_H_INCLUDED_
#define _NGX_LYFTR_OUTCOME_H_INCLUDED_


#include <ngx_lyftr_request.h>


/* ngx_lyftr_outcome.c: of a request that is being logged */

/* NONE if it is not for a webhook */
ngx_lyftr_result_e ngx_lyftr_outcome_result(ngx_http_request_t *r);

ngx_uint_t ngx_lyftr_outcome_status(ngx_http_request_t *r);

/* microseconds since the request came */
int64_t ngx_lyftr_outcome_latency(ngx_http_request_t *r);

extern ngx_str_t  ngx_lyftr_results[];


/* ngx_lyftr_arrival.c */

/* when it came, as ngx_lyftr_usec() tells the time */
int64_t ngx_lyftr_arrival_usec(ngx_http_request_t *r);


/* ngx_lyftr_location.c */

/* the location of ours that the request is for; or NULL */
ngx_lyftr_endpoint_t *ngx_lyftr_location_endpoint(ngx_http_request_t *r);

/* when the request came, unmoved by steps of the clock since */
int64_t ngx_lyftr_location_start(ngx_http_request_t *r);


#endif /* _NGX_LYFTR_OUTCOME_H_INCLUDED_ */
