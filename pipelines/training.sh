# Shared by the pipelines that train by the seed's options: its recipes, and those of the official command's options that no program has.

# recipe NAME: its options, one word a line, of recipes/NAME or of the file NAME.
recipe() {
    local file=$1 words
    [ -f "$here/recipes/$1" ] && file=$here/recipes/$1
    [ -f "$file" ] || usage_error "--recipe: $1: no such recipe; there are: $(cd "$here/recipes" && echo *)"
    words=$(sed 's/#.*//' "$file" | xargs -r -n 1) && [ -n "$words" ] || usage_error "--recipe: $1: no options in it"
    case $'\n'$words in *$'\n'--recipe*) usage_error "--recipe: $1: it names another recipe" ;; esac
    echo "$words"
}

# official: takes or refuses the official option $name=$value that no program has, for the run in $out, into the caller's lists `train` and
# `augment`; 1: it is none of these.
official() {
    case $name in
    --determine | --enable-watch | --reduce-mean | --img-path | --match-path | --pin-mem | --no-pin-mem) ;; # hold anyway, or do nothing
    --amp)
        case $value in 0) train+=(--precision=fp32) ;; 1) ;; *) usage_error "--amp=$value: 0 or 1" ;; esac ;;
    --img-size) augment+=("--size=$value") ;;
    --dataset) only "$name" "$value" imagenet 'the data set is what --data-path holds' ;;
    --EPS) only "$name" "$value" 1e-5 'the loss has 1e-5 built in' ;;
    --optim) [ "$value" != lars_oss ] || value=lars && return 1 ;; # of two names for one thing
    --sched) only "$name" "$value" cosine 'the learning rate follows a cosine' ;;
    --exclude-bias-weight-decay) only "$name" "$value" 1 'biases and norms have no weight decay here' ;;
    --freeze-embedding) only "$name" "$value" 0 'the patch embedding is always trained' ;;
    --start-epoch) only "$name" "$value" 0 'the checkpoint in --output_dir says where to go on' ;;
    --eval-only | --inference-only) only "$name" "$value" 0 'evaluation is a command of its own: pipelines/cluster, pipelines/linear' ;;
    --use-lmdb) usage_error "$name: LMDB is not supported: give a folder of pictures or a tar" ;;
    --world-size | --dist-url) usage_error "$name: not supported: mpirun or srun starts the ranks" ;;
    --resume)
        [ -z "$value" ] || [ "$value" -ef "$out/checkpoint.safetensors" ] ||
            usage_error "--resume=$value: the run in --output_dir resumes by itself; use --init=$value to start a run from these weights" ;;
    *) return 1 ;;
    esac
}

# crops_of_labels: what self-labeling asks of the views, by the caller's $style, $views, $mme and $epochs, into `augment`.
crops_of_labels() {
    [ "$style" != self_label ] || augment+=("--mme-epochs=$epochs") # labels in all epochs: crops harden in none
    case $views in
    --aug=barlow | --aug=moco | --aug=rand)
        [ "$style" = self_label ] || [ ! "$mme" -lt "$epochs" ] 2> /dev/null ||
            echo "$me: from epoch $mme on two views of ${views#--aug=} label each other; the official code takes multicrop's there" >&2 ;;
    esac
}
