#include "numbers_bf16.h"
#include "nn/backend.h"
#include <time.h>
static double now(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec+1e-9*t.tv_nsec;}
int main(void){ const tw_backend*be=tw_backend_open("cpu"); tw_rng_init(&rng,1,TW_USE_INIT,0,0,0); 
 int sh[][3]={{512,2048,4096},{512,4096,1024},{197*16,384,1152},{197*16,384,1536},{197*16,1536,384},{197*16,384,384},{197*8,768,3072},{16,384,1000}};
 for(int p=0;p<2;p++) for(int th=1;th<=2;th++) for(int i=0;i<8;i++){ int R=sh[i][0],C=sh[i][1],K=sh[i][2]; tw_dev*d=be->open(p?TW_BF16:TW_F32,th); if(!d) continue; be->enter(d);
  size_t nx=(size_t)R*C,ny=(size_t)R*K,nw=(size_t)K*C; float*x=numbers_within(nx,1),*w=numbers_within(nw,1),*b=numbers_within(K,1);
  void*gx=be->alloc(d,nx*4),*gy=be->alloc(d,ny*4); be->from_f32(d,gx,x,nx);
  tw_linear*l=be->linear_new(d,R,C,K,true); be->linear_weights(l,w,b);
  tw_linear*e=be->linear_new(d,R,C,K,false); be->linear_weights(e,w,b);
  double t[3]={1e9,1e9,1e9}; for(int r=0;r<8;r++){ double a=now(); be->linear_forward(l,gy,gx); double z=now()-a; if(z<t[0])t[0]=z; a=now(); be->linear_forward(e,gy,gx); z=now()-a; if(z<t[1])t[1]=z; a=now(); be->linear_backward_data(l,gx,gy); z=now()-a; if(z<t[2])t[2]=z;}
  double f=2.0*R*C*K/1e9; printf("%s j%d %dx%dx%d: forward train %.0f eval %.0f GF/s; data %.0f\n",p?"bf16":"f32",th,R,C,K,f/t[0],f/t[1],f/t[2]);
  free(x);free(w);free(b);be->release(d,gx);be->release(d,gy);be->linear_free(l);be->linear_free(e);be->close(d);} }
