#!/bin/sh
# A day's work with git in the directory that this is run in: commit, branch, merge, clone over file, push.
set -e
mkdir source
cd source
git init -q
for n in $(seq 40); do
	seq "$n" 500 >"file$n"
done
git add .
git commit -qm one
git checkout -qb side
seq 9 >nine
git add .
git commit -qm two
git mv file1 file0
chmod +x file2
ln -s file3 link
git add .
git commit -qm three
git checkout -q main
seq 5 >five
git add .
git commit -qm four
git merge -q --no-edit side
git tag -a -m tagged v1
git gc -q
git fsck --strict 2>&1
cd ..
git clone -q --bare source bare.git
git clone -q "file://$PWD/bare.git" clone
cd clone
seq 7 >seven
git add .
git commit -qm five
git push -q origin main 2>&1
git -C ../bare.git rev-parse 'main^{tree}' 'v1^{tree}'
git log --graph --oneline --all
seq 8 >seven
git stash -q
git stash pop -q
git diff --stat
git archive HEAD | sha256sum
